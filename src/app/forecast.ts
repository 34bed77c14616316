import { usageError } from '../core/errors.ts';
import type { Forecaster } from './forecast-types.ts';

/** @throws BrigadeError E_NOT_YET: not written yet. */
export const forecast: Forecaster = (migration) => Promise.reject(usageError('E_NOT_YET', 'plan is not there yet', 'use brigade run', migration.name));
