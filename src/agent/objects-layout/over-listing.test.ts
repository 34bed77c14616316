// The tests of ../listing.test.ts, with layout `objects` under the endpoint.
process.env['BRIGADE_TEST_LAYOUT'] = 'objects';
await import('../listing.test.ts');
