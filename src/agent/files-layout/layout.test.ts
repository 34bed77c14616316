import { failed, ground } from '../disk.test-kit.ts';
import { layoutConformance } from '../layout.test-kit.ts';
import { openFilesLayout } from './index.ts';

layoutConformance('files', (t) => openFilesLayout({ ...ground(t), failed }), { versions: false, anyKey: false, lasting: true });
layoutConformance('files with names on disk', (t) => openFilesLayout({ ...ground(t), failed, mostNames: 3 }), { versions: false, anyKey: false, lasting: true });
