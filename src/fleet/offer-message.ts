/**
 * What an operator offers to plain messages: one migration, by its saved form. Sealed with the message key as all that workers act upon, so that who can write to
 * the journal's place, and has no key, offers nothing; and what a plain message may reach is what stands in a migration file.
 */
import { BrigadeError } from '../core/errors.ts';
import { isFields } from './content.ts';
import type { AnyEnvelope, Codec, Json, SpecReference } from './messages.ts';

export type OfferBody = {
  readonly source: { readonly bucket: string; readonly prefix: string };
  readonly destination: { readonly bucket: string };
};

export interface Offer extends OfferBody {
  readonly spec: SpecReference;
}

type OfferCodec = Codec<{ readonly offer: OfferBody }>;

export function sealOffer(codec: Pick<OfferCodec, 'seal'>, { spec, source, destination }: Offer): string {
  return codec.seal({ kind: 'offer', id: 'offer', spec, body: { source: { ...source }, destination: { ...destination } } });
}

/** `id`: the migration whose place it stands in: nobody moves an offer to another one. @throws BrigadeError as `Codec.open`; object E_MESSAGE_SHAPE */
export function openOffer(codec: { readonly open: (text: string) => AnyEnvelope<{ readonly offer: OfferBody }> | { readonly kind: string } }, text: string, id: string): Offer {
  const envelope = codec.open(text);
  if (!isOffer(envelope) || envelope.spec.id !== id) throw new BrigadeError({ code: 'E_MESSAGE_SHAPE', kind: 'object', op: 'open offer', message: `what stands there is no offer of ${id}`, hint: 'offer it again: brigade offer' });
  return { spec: envelope.spec, ...envelope.body };
}

function isOffer(envelope: { readonly kind: string }): envelope is AnyEnvelope<{ readonly offer: OfferBody }> {
  return envelope.kind === 'offer';
}

export function wrongOffer(body: Json): string | undefined {
  if (!isFields(body)) return 'its body is no object';
  const { source, destination } = body;
  const isBucket = (side: Json | undefined): boolean => isFields(side) && typeof side['bucket'] === 'string' && side['bucket'] !== '';
  return isBucket(source) && isBucket(destination) && isFields(source) && typeof source['prefix'] === 'string' ? undefined : 'it does not say which buckets';
}
