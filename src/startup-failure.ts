/**
 * Why a mount cannot start: one line that says what to do, and the exit code. Errors of the store and of the mount
 * become one here, so that the command line and the background form tell them the same way.
 */
import { type ExitCode, exitCode } from './exit-code.js';

export class StartupFailure extends Error {
  override readonly name = 'StartupFailure';
  readonly exitCode: ExitCode;

  constructor(code: ExitCode, line: string, options?: ErrorOptions) {
    super(line.replace(/\s*\n\s*/g, ' ').trim(), options);
    this.exitCode = code;
  }
}

/** The packages that bring fusermount3, by distribution. */
export const installFuse = 'Debian/Ubuntu "apt-get install fuse3", Fedora "dnf install fuse3", Alpine "apk add fuse3"';

interface CodedError extends Error {
  readonly code: string;
}

interface KindError extends Error {
  readonly kind: string;
  readonly details: { readonly region?: string; readonly code?: string };
}

const mountCodes: Readonly<Record<string, ExitCode>> = {
  ENOENT: exitCode.mountpointMissing,
  ENOTDIR: exitCode.mountpointNotDirectory,
  EBUSY: exitCode.mountpointBusy,
  ENOHELPER: exitCode.noFusermount,
  ENOLIBFUSE: exitCode.noLibfuse,
  EPERM: exitCode.mountRefused,
};

/** Of a MountError (by its errno name). */
function ofMount(error: CodedError): StartupFailure {
  const { code, message } = error;
  if (code === 'ENOHELPER') {
    const line = `fusermount3 is not installed, which mounting without root needs: ${installFuse}`;
    return new StartupFailure(exitCode.noFusermount, line, { cause: error });
  }
  if (message.includes('/dev/fuse')) {
    const remedy = /modprobe/.test(message) ? '' : `: run as root, or make it accessible to this user (${installFuse})`;
    return new StartupFailure(exitCode.noFuse, `${message}${remedy}`, { cause: error });
  }
  if (/user_allow_other/.test(message)) {
    const line = 'allow-other needs the line "user_allow_other" in /etc/fuse.conf: add it, or mount as root';
    return new StartupFailure(exitCode.mountRefused, line, { cause: error });
  }
  return new StartupFailure(mountCodes[code] ?? exitCode.mountpointUnusable, message, { cause: error });
}

/** Exit code and remedy for each kind of failure that a bucket can answer with. */
const storeKinds: Readonly<Record<string, readonly [ExitCode, string]>> = {
  NoSuchBucket: [exitCode.noBucket, 'check the name, or create it with "aws s3 mb"'],
  NotFound: [exitCode.noBucket, 'check the name, or create it with "aws s3 mb"'],
  AccessDenied: [exitCode.denied, 'allow s3:ListBucket on it, or use another --profile'],
  WrongRegion: [exitCode.wrongRegion, 'give its region with --region'],
  Unreachable: [exitCode.unreachable, 'check --endpoint-url and the network'],
  Timeout: [exitCode.unreachable, 'check --endpoint-url and the network'],
  Throttled: [exitCode.unreachable, 'try again later'],
  Credentials: [
    exitCode.credentials,
    'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run "aws configure", or use --profile; --no-sign-request for a public bucket',
  ],
  NotImplemented: [exitCode.unsupportedBucket, 'mount a general purpose bucket'],
};

/** Of an S3Error (by its kind). */
function ofStore(error: KindError): StartupFailure {
  const [code, remedy] = storeKinds[error.kind] ?? [exitCode.store, 'check --endpoint-url and the name of the bucket'];
  const named = error.kind === 'WrongRegion' && error.details.region !== undefined;
  const told = named ? `mount it with --region ${error.details.region}` : remedy;
  return new StartupFailure(code, `${error.message}: ${told}`, { cause: error });
}

/** What to do with a journal that this mount cannot take up: nothing of it is lost, and nothing was changed. */
function ofJournal(error: Error): StartupFailure {
  const line = `${error.message}; or give this mount its own --state-dir (the journal is left as it is)`;
  return new StartupFailure(exitCode.journalRefused, line, { cause: error });
}

/** Any error as a failure to start. */
export function startupFailure(error: unknown): StartupFailure {
  if (error instanceof StartupFailure) return error;
  if (!(error instanceof Error)) return new StartupFailure(exitCode.unexpected, String(error));
  if (error.name === 'MountError') return ofMount(error as CodedError);
  if (error.name === 'S3Error') return ofStore(error as KindError);
  if (error.name === 'JournalRefused') return ofJournal(error);
  if (/native addon/.test(error.message)) return new StartupFailure(exitCode.notBuilt, error.message, { cause: error });
  return new StartupFailure(exitCode.unexpected, error.message, { cause: error });
}
