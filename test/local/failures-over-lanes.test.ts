// The rows of bodies and of the network once more, with every request over lanes.
process.env['BRIGADE_TEST_LANES'] = 'always';
await import('./failures-bodies.test.ts');
await import('./failures-network.test.ts');
