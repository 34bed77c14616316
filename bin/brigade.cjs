#!/usr/bin/env node
// Plain old JavaScript on purpose: this file must parse on any Node, so that an old one gets one clear line.
'use strict';
var fs = require('fs');
var path = require('path');
var child = require('child_process');

var NEEDED = 24;
var root = path.join(__dirname, '..');
var source = path.join(root, 'src', 'cli', 'main.ts');
var entry = fs.existsSync(source) ? source : path.join(root, 'dist', 'cli', 'main.js');

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

if (Number(process.versions.node.split('.')[0]) >= NEEDED) {
  import(require('url').pathToFileURL(entry).href);
} else {
  var node = newerNode();
  if (node) reExecute(node);
  else {
    process.stderr.write('brigade: needs Node ' + NEEDED + ' or newer, this is ' + process.versions.node + '; install it from https://nodejs.org\n');
    process.exit(2);
  }
}
