// The tests of ../multipart.test.ts, with layout `objects` under the endpoint.
process.env['BRIGADE_TEST_LAYOUT'] = 'objects';
await import('../multipart.test.ts');
