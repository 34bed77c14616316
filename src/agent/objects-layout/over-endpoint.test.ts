// The tests of ../endpoint.test.ts, with layout `objects` under the endpoint.
process.env['BRIGADE_TEST_LAYOUT'] = 'objects';
await import('../endpoint.test.ts');
