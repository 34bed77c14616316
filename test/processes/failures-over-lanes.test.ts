// The rows of the network once more, with every request over lanes.
process.env['BRIGADE_TEST_LANES'] = 'always';
await import('../local/failures-network.test.ts');
