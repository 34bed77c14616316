// The rows of bodies once more, with every request over lanes; those of the network are in test/processes.
process.env['BRIGADE_TEST_LANES'] = 'always';
await import('./failures-bodies.test.ts');
