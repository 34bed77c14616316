#!/usr/bin/env node
// Plain old JavaScript on purpose: this file must parse on any Node, so that an old one gets one clear line.
'use strict';
var fs = require('fs');
var os = require('os');
var path = require('path');
var child = require('child_process');

var NEEDED = 24;
var root = path.join(__dirname, '..');
var source = path.join(root, 'src', 'cli', 'main.ts');
var entry = fs.existsSync(source) ? source : path.join(root, 'dist', 'cli', 'main.js');

/**
 * Compiled code is kept between starts, which halves what a short run costs; executors inherit the setting. Only in a folder that
 * nobody else can write to: what stands there is run. Without one, nothing is kept.
 */
function keepCompiledCode() {
  if (process.env.NODE_COMPILE_CACHE || process.env.NODE_DISABLE_COMPILE_CACHE) return;
  try {
    var folder = path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'brigade', 'compiled');
    fs.mkdirSync(folder, { recursive: true, mode: 448 });
    var found = fs.statSync(folder);
    if (process.getuid && (found.uid !== process.getuid() || (found.mode & 18) !== 0)) return;
    process.env.NODE_COMPILE_CACHE = folder;
    var enable = require('module').enableCompileCache;
    if (enable) enable(folder);
  } catch (noFolder) {
    // No home, or one that cannot be written: every start compiles anew.
  }
}

function newerNode() {
  var name = 'node-' + process.platform + '-' + process.arch;
  try {
    var bundled = path.join(path.dirname(require.resolve(name + '/package.json')), 'bin', 'node');
    return fs.existsSync(bundled) ? bundled : null;
  } catch (notInstalled) {
    return null;
  }
}

function reExecute(node) {
  var done = child.spawn(node, [entry].concat(process.argv.slice(2)), { stdio: 'inherit' });
  // A terminal sends Ctrl-C to the whole foreground group: the child drains, we only wait for it.
  ['SIGINT', 'SIGTERM', 'SIGHUP'].forEach(function (signal) {
    process.on(signal, function () { if (signal !== 'SIGINT') done.kill(signal); });
  });
  done.on('exit', function (code, signal) {
    if (signal) { process.removeAllListeners(signal); process.kill(process.pid, signal); } else process.exit(code);
  });
}

keepCompiledCode();
if (Number(process.versions.node.split('.')[0]) >= NEEDED) {
  require('v8').setFlagsFromString('--semi-space-growth-factor=1'); // src/app/heap.ts lets it grow, to its limit
  import(require('url').pathToFileURL(entry).href);
} else {
  var node = newerNode();
  if (node) reExecute(node);
  else {
    process.stderr.write('brigade: needs Node ' + NEEDED + ' or newer, this is ' + process.versions.node + '; install it from https://nodejs.org\n');
    process.exit(2);
  }
}
