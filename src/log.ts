/** Logging: pino, made in one place, with secrets redacted. Modules take a Logger and never make one. */
import pino from 'pino';

export type Logger = pino.Logger;

export interface LogOptions {
  /** trace, debug, info, warn, error, fatal or silent. */
  readonly level: string;
  /** Absent: standard error. */
  readonly file?: string;
}

const redacted = [
  'secretAccessKey',
  'sessionToken',
  'credentials',
  '*.secretAccessKey',
  '*.sessionToken',
  '*.credentials',
  'headers.authorization',
  '*.headers.authorization',
  'headers["x-amz-security-token"]',
];

export function createLogger(options: LogOptions): Logger {
  const destination = pino.destination({ dest: options.file ?? 2, sync: true, append: true, mkdir: false });
  return pino(
    { level: options.level, redact: redacted, base: undefined, serializers: { err: pino.stdSerializers.err } },
    destination,
  );
}

export const silentLogger: Logger = pino({ level: 'silent' });
