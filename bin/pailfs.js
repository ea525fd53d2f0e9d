#!/usr/bin/env node
/*
 * Starts dist/src/cli.js, and before that sets what can only be set before anything runs. CommonJS, because the loader
 * of ES modules reads through libuv's thread pool, whose size is fixed once it has started.
 */
'use strict';
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { setFlagsFromString } = require('node:v8');

process.env.UV_THREADPOOL_SIZE ??= '16';
// On a machine with much memory V8 lets its heap grow to four times what lives in it before it collects.
setFlagsFromString('--heap-growing-percent=50');
// Node 20 is supported here; the SDK's warning about its own plans is no news to the user of a mount.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

const cli = join(__dirname, '..', 'dist', 'src', 'cli.js');
if (existsSync(cli)) {
  import(pathToFileURL(cli).href).then((module) => module.main());
} else {
  process.stderr.write('pailfs: it is not built yet: run "npm run build" in its directory\n');
  process.exitCode = 85;
}
