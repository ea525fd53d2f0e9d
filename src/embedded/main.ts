/** Runs the embedded S3 server by itself: for the demo, and for tests in other processes or languages. */
import yargs from 'yargs';
import { startEmbeddedServer } from './server.js';

const options = await yargs(process.argv.slice(2))
  .option('directory', { type: 'string', demandOption: true, describe: 'where the objects live' })
  .option('port', { type: 'number', default: 0, describe: '0: any free port' })
  .option('bucket', { type: 'string', array: true, default: [] as string[], describe: 'made if absent' })
  .option('until-stdin-closes', { type: 'boolean', default: false, describe: 'end with the process that started this' })
  .strict()
  .parseAsync();

const server = await startEmbeddedServer({
  directory: options.directory,
  port: options.port,
  buckets: options.bucket,
});
console.log(server.endpoint);

const stop = () => {
  process.stdin.destroy();
  void server.close();
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
if (options.untilStdinCloses) process.stdin.once('end', stop).once('close', stop).resume();
