/**
 * Where requests for a bucket go and what scope signs them. The AWS SDK knows the rules (regions, partitions, FIPS,
 * dual stack, access points, endpoint_url in environment and profile), so it is asked once by letting it prepare a
 * HeadBucket that is never sent; the lean path then only puts keys behind the answer.
 */
import { HeadBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Environment } from './proxy.js';
import { S3Error } from './s3-error.js';
import type { SigningScope } from './signer.js';

export interface Endpoint {
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
  /** Value of the Host header: the port only where it is not the scheme's own. */
  readonly host: string;
  /** What stands before `/KEY` in the path: empty, or `/BUCKET` in path style, behind a base path. */
  readonly basePath: string;
  readonly scope: SigningScope;
  /** Not AWS's own: an endpoint URL was given. */
  readonly custom: boolean;
  /** On this machine, with no proxy in between: nobody can change on the way what is sent. */
  readonly isHere?: boolean;
}

export interface EndpointOptions {
  readonly bucket: string;
  readonly region: string;
  readonly endpoint?: string;
  readonly profile?: string;
  /** Absent: path style for custom endpoints, as AWS says for its own. */
  readonly pathStyle?: boolean;
}

interface PreparedRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const awsHost =
  /\.(amazonaws\.com(\.cn)?|amazonaws\.eu|api\.aws|api\.amazonwebservices\.com\.cn|csp\.hci\.ic\.gov|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk)$/;

/** The region that was configured; undefined: none, and the server will say. */
export async function configuredRegion(
  client: S3Client,
  region: string | undefined,
  env: Environment,
): Promise<string | undefined> {
  const named = region ?? env.AWS_REGION ?? env.AWS_DEFAULT_REGION;
  if (named !== undefined && named !== '') return named;
  try {
    return await client.config.region();
  } catch (error) {
    if (/region is missing/i.test((error as Error).message)) return undefined;
    throw new S3Error('InvalidRequest', `the AWS configuration is not usable: ${(error as Error).message}`, {
      operation: 'Configure',
      cause: error,
    });
  }
}

/** Lets the SDK prepare a HeadBucket; what it would have sent is caught in the request handler. */
async function prepare(options: EndpointOptions, forcePathStyle: boolean): Promise<PreparedRequest> {
  let prepared: PreparedRequest | undefined;
  const caught = new Error('prepared');
  const config: S3ClientConfig = {
    region: options.region,
    profile: options.profile,
    forcePathStyle,
    maxAttempts: 1,
    credentials: { accessKeyId: 'unused', secretAccessKey: 'unused' },
    requestHandler: {
      handle: async (request: PreparedRequest) => {
        prepared = request;
        throw caught;
      },
    } as unknown as S3ClientConfig['requestHandler'],
  };
  if (options.endpoint !== undefined) config.endpoint = options.endpoint;
  const client = new S3Client(config);
  try {
    await client.send(new HeadBucketCommand({ Bucket: options.bucket }));
  } catch (error) {
    if (prepared === undefined) {
      throw new S3Error('InvalidRequest', `bucket ${options.bucket}: ${(error as Error).message}`, {
        operation: 'Configure',
        cause: error,
      });
    }
  }
  client.destroy();
  return prepared!;
}

export async function resolveEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const forced = options.pathStyle ?? options.endpoint !== undefined;
  let request = await prepare(options, forced);
  const custom = options.endpoint !== undefined || !awsHost.test(request.hostname);
  if (custom && !forced && options.pathStyle === undefined) request = await prepare(options, true);
  const secure = request.protocol === 'https:';
  const usual = secure ? 443 : 80;
  const port = request.port ?? usual;
  const authorization = request.headers.authorization ?? request.headers.Authorization ?? '';
  const scope = /Credential=[^/]+\/\d{8}\/([^/]+)\/([^/]+)\/aws4_request/.exec(authorization);
  if (scope === null) {
    throw new S3Error('NotImplemented', `bucket ${options.bucket} needs a signature that pailfs does not make`, {
      operation: 'Configure',
    });
  }
  return {
    secure,
    hostname: request.hostname.replace(/^\[|\]$/g, ''),
    port,
    host: port === usual ? request.hostname : `${request.hostname}:${port}`,
    basePath: request.path.replace(/\/+$/, ''),
    scope: { region: scope[1], service: scope[2] },
    custom,
  };
}
