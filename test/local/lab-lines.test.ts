/** Broken command lines of `brigade lab`: each is exactly one line on stderr, exit 2, nothing on stdout, nothing started (I7, F092). */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LabBench } from '../processes/lab-bench.ts';

const LINES: readonly (readonly [line: string, expected: RegExp])[] = [
  ['lab', /lab: no command was given; write one of up, run, status, fault, down, reset/], ['lab upp', /did you mean brigade lab up/], ['lab start', /"start" is not a command; (known: up|did you mean)/], ['lab up now', /too many arguments/],
  ['lab up --scale', /--scale.*has no value/], ['lab up --scale 0', /"0" is not a share from 0\.01 to 10; write --scale 0\.1/], ['lab up --scale -1', /is not a share/], ['lab up --scale 11', /is not a share/], ['lab up --scale half', /"half" is not a share/], ['lab up --scale 1e3', /is not a share/],
  ['lab up --dir file', /file: this is not a folder/], ['lab up --dir full', /full: the folder holds something that no lab made/], ['lab up --dir file/below', /cannot be made|not a folder/], ['lab up --dri x', /did you mean --dir/],
  ['lab run', /there is no lab here; make one with brigade lab up/], ['lab run --exercise fire', /"fire" is not one of permission, missing-bucket, none/], ['lab run --exercise permision', /did you mean permission/], ['lab run extra', /too many arguments/],
  ['lab status', /there is no lab here/], ['lab status -o xml', /not one of table, json, ndjson/], ['lab down', /there is no lab here/], ['lab reset', /there is no lab here/], ['lab reset --dir full', /there is no lab here/], ['lab reset --force', /is not an option here/],
  ['lab fault', /ACTION is missing/], ['lab fault ad reset', /did you mean add/], ['lab fault toString', /is not an action/], ['lab fault add', /KIND is missing; see brigade lab fault kinds/], ['lab fault add gremlins', /"gremlins" is not a kind of fault/], ['lab fault add 503-strom', /did you mean 503-storm/],
  ['lab fault add reset --operation GetObjekt', /"GetObjekt" is not an operation of S3; did you mean GetObject/], ['lab fault add reset --probability 2', /is not a probability/], ['lab fault add reset --probability 0', /is not a probability/], ['lab fault add reset --probability often', /is not a probability/],
  ['lab fault add reset --seed x', /not a whole number/], ['lab fault add reset --for 60', /write --for 15s/], ['lab fault add reset --for ever', /is not a duration/], ['lab fault add reset --at middle', /not one of source, destination, both/], ['lab fault add reset --amount 3', /reset has no number; leave it out/],
  ['lab fault add reset --name a/b', /is not a name/], ['lab fault add reset', /there is no lab here/], ['lab fault list', /there is no lab here/], ['lab fault clear', /there is no lab here/], ['lab fault add reset extra words', /too many arguments/],
];

test('each is one line, exit 2, and starts nothing', async () => {
  const lab = new LabBench();
  writeFileSync(join(lab.cwd, 'file'), '');
  mkdirSync(join(lab.cwd, 'full'));
  writeFileSync(join(lab.cwd, 'full', 'something'), '');
  for (const [line, expected] of LINES) {
    const { exit, out, err } = await lab.run(line);
    assert.deepEqual([exit, out], [2, ''], `${line}: ${err}`);
    assert.match(err, /^brigade: [^\n]*\[E_[A-Z_]+\]\n$/, line);
    assert.match(err, expected, line);
  }
  assert.deepEqual([existsSync(lab.dir), readdirSync(join(lab.cwd, 'full'))], [false, ['something']]);
});

test('a fault that is not in force cannot be cleared', async () => {
  const lab = new LabBench();
  await lab.ends('lab up --scale 0.01');
  await lab.ends('lab fault add reset --name my-fault --bucket none');
  const { exit, err } = await lab.run('lab fault clear my-falt');
  assert.equal(exit, 2);
  assert.match(err, /^brigade: NAME: "my-falt" is not a fault in force; did you mean my-fault \[E_USAGE\]\n$/);
});
