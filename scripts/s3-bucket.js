/**
 * Waits until an S3 server answers, and makes a bucket there: `s3-bucket.js ENDPOINT BUCKET SECONDS PID`. Ends at once
 * when the process PID, which is the server, is gone. Credentials and region come from the environment.
 */
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';

const [endpoint, Bucket, seconds, pid] = process.argv.slice(2);
const client = new S3Client({ endpoint, forcePathStyle: true, maxAttempts: 1 });

function isAlive() {
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch {
    return false;
  }
}

/** Tried again: a bucket that another try has made is ours, since its name is new. */
async function makeBucket() {
  const limit = { abortSignal: AbortSignal.timeout(10_000) };
  try {
    await client.send(new CreateBucketCommand({ Bucket }), limit);
  } catch (error) {
    if (error.name !== 'BucketAlreadyOwnedByYou') throw error;
  }
  await client.send(new ListObjectsV2Command({ Bucket }), limit);
}

const end = Date.now() + Number(seconds) * 1000;
for (;;) {
  try {
    await makeBucket();
    break;
  } catch (error) {
    const reason = isAlive() ? Date.now() > end && `no answer within ${seconds} s` : 'the server has ended';
    if (reason) {
      console.error(`s3-bucket: ${reason}: ${error.name}: ${error.message}`);
      process.exitCode = 1;
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
client.destroy();
