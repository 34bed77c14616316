/** What the tree cannot do, as S3 errors. Names of errors that S3 does not have are those that other gateways use for the same. */
import { BrigadeError } from '../../core/errors.ts';
import { errno } from '../../stores/filesystem/failures.ts';
import type { Refusal } from '../../stores/filesystem/names.ts';
import { S3Error, s3Error } from '../errors.ts';

export const keyRefused = (key: string, refusal: Refusal): S3Error =>
  (refusal.code === 'E_NAME_TOO_LONG'
    ? s3Error('KeyTooLongError', { message: `This agent serves files: ${refusal.message}.`, details: { Key: key } })
    : s3Error('InvalidArgument', { message: `This agent serves files and cannot hold the key: ${plain(refusal.message)}.`, details: { ArgumentName: 'key', ArgumentValue: key } }));

/** The hint of the resolver is for those who choose how names are written; a served tree has no choice. */
const plain = (message: string): string => message.replace(/; names: escaped would hold it$/, '');

export const parentIsFile = (key: string): S3Error =>
  new S3Error('ObjectParentIsFile', 409, 'A file stands where the key needs a directory.', { Key: key }, {});

export const isDirectory = (key: string): S3Error =>
  new S3Error('ObjectExistsAsDirectory', 409, 'A directory stands where the file must be.', { Key: key }, {});

export const isSpecial = (key: string): S3Error =>
  s3Error('AccessDenied', { message: 'What stands there is a link, pipe, socket or device: it is neither followed nor replaced.', details: { Key: key } });

export const noSuchBucket = (name: string): S3Error => s3Error('NoSuchBucket', { details: { BucketName: name } });

const denied = (key: string, message: string): S3Error => s3Error('AccessDenied', { message, details: { Key: key } });

const tooLong = (key: string): S3Error => keyRefused(key, { code: 'E_NAME_TOO_LONG', message: 'the name is too long for the file system' });
const notTaken = (key: string): S3Error => keyRefused(key, { code: 'E_NAME_FORBIDDEN', message: 'the file system does not take the name' });
const linkInPath = (key: string): S3Error => denied(key, 'A symbolic link stands in the path; links are not followed.');
const notPermitted = (key: string): S3Error => denied(key, 'The file system does not permit it.');
const readOnly = (key: string): S3Error => denied(key, 'The file system is mounted read-only.');

const refusals: ReadonlyMap<string, (key: string) => S3Error> = new Map([
  ['E_NAME_COLLISION', parentIsFile], ['ENOTDIR', parentIsFile], ['EISDIR', isDirectory], ['E_LINK_IN_PATH', linkInPath], ['ELOOP', linkInPath],
  ['E_ACCES', notPermitted], ['EACCES', notPermitted], ['EPERM', notPermitted], ['E_READ_ONLY', readOnly], ['EROFS', readOnly],
  ['E_NAME_TOO_LONG', tooLong], ['ENAMETOOLONG', tooLong], ['E_NAME_FORBIDDEN', notTaken], ['EILSEQ', notTaken], ['EINVAL', notTaken],
]);

const codeOf = (error: unknown): string => (error instanceof BrigadeError ? error.code : errno(error)) ?? '';

/** Failures of the resolver and of system calls that a client can do something about; others stay what they are. */
export const refusalOf = (error: unknown, key: string): unknown => refusals.get(codeOf(error))?.(key) ?? error;

const absences: ReadonlySet<string> = new Set(['E_NOT_FOUND', 'E_LINK_IN_PATH', 'E_NAME_COLLISION', 'E_NAME_TOO_LONG', 'E_NAME_FORBIDDEN', 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EILSEQ', 'EINVAL']);

/** Whether there is no such object: what a read answers to all that cannot be one. */
export const isAbsence = (error: unknown): boolean => absences.has(codeOf(error));
