// The tests of ../objects.test.ts, with layout `objects` under the endpoint.
process.env['BRIGADE_TEST_LAYOUT'] = 'objects';
await import('../objects.test.ts');
