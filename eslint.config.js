// Style and structure rules. The layers of ARCHITECTURE.md are held here:
//   cli, server -> app -> fleet -> engine -> ports -> core; drivers implement ports and know neither the engine nor each other.
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import { importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

const src = (layer) => `./src/${layer}`;
const drivers = ['stores', 'queues', 'ledger', 'journal', 'telemetry'];
const queueDrivers = ['local', 'memory', 'sqs', 'nats', 'partitions'];
const outer = ['fleet', 'app', 'cli', 'server', 'faults'];

/** `target` may not import from any folder in `from`. */
const zone = (target, from, why) => ({ target: src(target), from: from.map(src), message: why });

const layers = [
  zone('core', ['ports', 'engine', 'config', 'agent', ...drivers, ...outer], 'core is pure: it imports nothing of ours'),
  zone('ports', ['engine', 'config', 'agent', ...drivers, ...outer], 'ports know only core'),
  zone('engine', ['config', 'agent', ...drivers, ...outer], 'the engine knows ports and core, never a driver'),
  zone('fleet', ['config', 'agent', ...drivers, ...outer.filter((o) => o !== 'fleet')], 'the fleet knows the engine, ports and core, never a driver'),
  zone('config', ['engine', 'agent', ...drivers, ...outer], 'config knows ports and core'),
  ...drivers.map((d) =>
    zone(d, ['engine', 'config', 'agent', ...drivers.filter((o) => o !== d), ...outer], 'a driver knows ports and core, not the engine nor other drivers')),
  zone('faults', ['ports', 'engine', 'fleet', 'config', 'agent', ...drivers, 'app', 'cli', 'server'], 'faults go wrong in front of any endpoint: they know none of ours'),
  zone('app', ['cli', 'server'], 'app composes; cli and server call it'),
  ...['memory', 'filesystem', 's3', 'synthetic'].map((d) => ({
    target: src(`stores/${d}`),
    from: ['memory', 'filesystem', 's3', 'synthetic', 'decorators'].filter((o) => o !== d).map((o) => src(`stores/${o}`)),
    message: 'store drivers do not import each other',
  })),
  ...queueDrivers.map((d) => ({
    target: src(`queues/${d}`),
    from: queueDrivers.filter((o) => o !== d).map((o) => src(`queues/${o}`)),
    message: 'queue drivers do not import each other',
  })),
];

const keyOrder = 'keys are bytes: use compareKeys (UTF-16 order is not key order, F048)';

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'bin/', 'coverage/', 'tmp/', 'console/'] },
  tseslint.configs.base,
  {
    files: ['**/*.ts'],
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { projectService: true } },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver()] },
    rules: {
      'max-lines': ['error', { max: 500 }],
      'max-lines-per-function': ['error', { max: 70 }],
      complexity: ['error', 15],
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-empty': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/require-array-sort-compare': ['error', { ignoreStringArrays: false }],
      'import-x/no-cycle': 'error',
      'import-x/no-restricted-paths': ['error', { zones: layers }],
      'no-restricted-syntax': ['error',
        { selector: 'CallExpression[callee.property.name="localeCompare"]', message: keyOrder },
        { selector: 'BinaryExpression[operator=/^[<>]=?$/][left.name=/^(key|lastKey|firstKey|.*Key)$/]', message: keyOrder },
        { selector: 'BinaryExpression[operator=/^[<>]=?$/][left.property.name=/^(key|lastKey|firstKey|.*Key)$/]', message: keyOrder },
        { selector: 'BinaryExpression[operator=/^[<>]=?$/][right.property.name=/^(key|lastKey|firstKey|.*Key)$/]', message: keyOrder }],
    },
  },
  {
    // Time, chance, environment and the terminal come in through ports (ARCHITECTURE.md, layers).
    files: ['src/{core,ports,engine,fleet,stores,queues,ledger,journal}/**/*.ts'],
    ignores: ['**/*.test.ts', '**/*.test-kit.ts', 'src/stores/conformance/**', 'src/queues/conformance/**'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': ['error',
        { object: 'Date', property: 'now', message: 'take the clock port' },
        { object: 'Math', property: 'random', message: 'take the random port' },
        { object: 'process', property: 'env', message: 'only app, cli, config and telemetry read the environment' },
        { object: 'performance', property: 'now', message: 'take the clock port' }],
    },
  },
  { files: ['**/*.test.ts', 'test/**/*.ts'], rules: { 'max-lines-per-function': 'off', '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: [{ from: 'package', package: 'node:test', name: ['test', 'describe', 'it', 'suite'] }] }] } },
);
