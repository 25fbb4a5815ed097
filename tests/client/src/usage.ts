// What a page does with the generated documents. It is compiled and never run. Most of it would compile as well if a
// type had become `any`; `holds` and the lines marked @ts-expect-error would not.
import type { ResultOf, VariablesOf } from '@graphql-typed-document-node/core';

import {
  AddressDocument,
  CampaignDocument,
  CampaignsDocument,
  CampaignStatisticsDocument,
  CreateApiTokenDocument,
  CreateCampaignDocument,
  ImportRecipientsDocument,
  JobDocument,
  RecipientDocument,
  RecipientsDocument,
  ThingDocument,
  UnmatchedEventsDocument,
  ViewerDocument,
} from './generated/graphql';
import type {
  FiguresFragment,
  JobProgressFragment,
  RecipientFilter,
  RecipientStatus,
  RefusalFragment,
  Role,
  SkipReason,
} from './generated/graphql';
import { request, subscribe } from './request';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only where the type is `true`; `any` is the same as nothing but itself. */
function holds<_Statement extends true>(): void {}

// ---- Campaigns

type CampaignRow = ResultOf<typeof CampaignsDocument>['campaigns']['nodes'][number];

holds<Same<CampaignRow['name'], string>>();
holds<Same<CampaignRow['sentAt'], string | null>>();
holds<Same<CampaignRow['state'], 'CANCELED' | 'DRAFT' | 'SENDING' | 'SENT'>>();
holds<Same<CampaignRow['statistics'], FiguresFragment>>();
holds<Same<FiguresFragment['sent'], number>>();
holds<Same<FiguresFragment['openRate'], number | null>>();

export function percent(rate: number | null): string {
  return rate === null ? '–' : `${(100 * rate).toFixed(1)} %`;
}

export async function latestCampaigns(search: string): Promise<readonly string[]> {
  const { campaigns } = await request(CampaignsDocument, {
    filter: { search, state: ['SENDING', 'SENT'] },
    orderBy: { field: 'SENT_AT', direction: 'DESC' },
    first: 20,
  });
  return campaigns.nodes.map(({ name, statistics }) => `${name}: ${percent(statistics.openRate)}`);
}

export async function hoursOf(id: string, from: Date): Promise<ReadonlyMap<string, number>> {
  const { campaign } = await request(CampaignDocument, { id, interval: 'HOUR', from: from.toISOString() });
  return new Map(campaign?.timeline.map(({ at, opened }) => [at, opened]));
}

export function watch(campaignId: string, show: (figures: FiguresFragment) => void): () => void {
  return subscribe(
    CampaignStatisticsDocument,
    { campaignId },
    ({ campaignStatistics }) => show(campaignStatistics),
    (error) => console.error(error),
  );
}

// ---- Recipients

type RecipientRows = NonNullable<ResultOf<typeof RecipientsDocument>['campaign']>['recipients'];
type RecipientRow = RecipientRows['edges'][number]['node'];

holds<Same<RecipientRow['status'], RecipientStatus>>();
holds<Same<RecipientRow['skipReason'], SkipReason | null>>();
holds<Same<RecipientRows['pageInfo']['endCursor'], string | null>>();
holds<Same<RecipientRows['totalCount']['exact'], boolean>>();
holds<Same<VariablesOf<typeof RecipientsDocument>['filter'], RecipientFilter | null | undefined>>();

const failed: RecipientFilter = {
  or: [{ status: ['HARD_BOUNCED'] }, { status: ['SOFT_BOUNCED'], bounceClass: ['MAILBOX_FULL', 'DNS'] }],
  not: { inCrm: false },
  sentAfter: '2026-01-01T00:00:00Z',
};

/** All pages, forward. */
export async function* everyFailed(campaignId: string): AsyncGenerator<RecipientRow> {
  let after: string | null = null;
  for (;;) {
    const page: ResultOf<typeof RecipientsDocument> = await request(RecipientsDocument, {
      campaignId,
      filter: failed,
      orderBy: { field: 'EMAIL', direction: 'ASC' },
      first: 100,
      after,
    });
    if (page.campaign === null) return;
    const { edges, pageInfo } = page.campaign.recipients;
    for (const { node } of edges) yield node;
    if (!pageInfo.hasNextPage) return;
    after = pageInfo.endCursor;
  }
}

/** The page before this one, for a button that goes back. */
export async function pageBefore(campaignId: string, rows: RecipientRows): Promise<RecipientRows | undefined> {
  if (!rows.pageInfo.hasPreviousPage) return undefined;
  const { campaign } = await request(RecipientsDocument, {
    campaignId,
    filter: failed,
    last: 100,
    before: rows.pageInfo.startCursor,
  });
  return campaign?.recipients;
}

export async function whyBlocked(id: string): Promise<string | undefined> {
  const { recipient } = await request(RecipientDocument, { id });
  return recipient?.address.blockReason ?? recipient?.events.nodes[0]?.diagnostic ?? undefined;
}

// ---- Importing

/** Refusals by the field that they are about, as a form shows them. */
export function byField(refusals: readonly RefusalFragment[]): ReadonlyMap<string, string> {
  return new Map(refusals.map(({ field, message }) => [field?.join('.') ?? '', message]));
}

export async function importFile(
  campaignId: string,
  uploadId: string,
  show: (job: JobProgressFragment) => void,
): Promise<ReadonlyMap<string, string>> {
  const { importRecipients } = await request(ImportRecipientsDocument, {
    input: { campaignId, uploadId, format: 'CSV', mapping: [{ column: 'Mail', field: 'EMAIL' }] },
  });
  let job: JobProgressFragment | null = importRecipients.job;
  while (job !== null) {
    show(job);
    if (job.state !== 'QUEUED' && job.state !== 'RUNNING') break;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    job = (await request(JobDocument, { id: job.id })).job;
  }
  return byField(importRecipients.userErrors);
}

// ---- Anything with an id

type Thing = NonNullable<ResultOf<typeof ThingDocument>['node']>;

type Known =
  | 'Address'
  | 'Campaign'
  | 'Correction'
  | 'Delivery'
  | 'FollowUp'
  | 'Job'
  | 'Person'
  | 'Project'
  | 'Recipient'
  | 'ReminderRule'
  | 'Selection';
holds<Same<Thing['__typename'], Known>>();

/** What is written on a link to it. A type that is new in the schema ends up in `unknown`, and is refused there. */
export function title(thing: Thing): string {
  switch (thing.__typename) {
    case 'Campaign':
      return `${thing.name} (${thing.campaignState})`;
    case 'Recipient':
      return `${thing.email} in ${thing.campaign.name}`;
    case 'Address':
      return `${thing.email}: ${thing.health}`;
    case 'Job':
      return thing.total === null ? `${thing.jobKind} ${thing.done}` : `${thing.done} of ${thing.total}`;
    case 'Delivery':
      return `${thing.source}, ${new Date(thing.receivedAt).toLocaleString()}`;
    case 'ReminderRule':
      return thing.enabled ? thing.name : `${thing.name} (off)`;
    case 'Selection':
    case 'Project':
      return thing.name;
    case 'Person':
      return thing.personName ?? thing.crmId;
    case 'FollowUp':
      return thing.title;
    case 'Correction':
      return `${thing.oldEmail} is ${thing.newEmail}`;
    default: {
      const unknown: never = thing;
      return unknown;
    }
  }
}

// ---- Who may do what

type Viewer = ResultOf<typeof ViewerDocument>['viewer'];

holds<Same<Viewer['role'], Role>>();
holds<Same<Viewer['seesPersonalData'], boolean>>();

export async function newToken(name: string, role: Role): Promise<string> {
  const { createApiToken } = await request(CreateApiTokenDocument, { input: { name, role } });
  if (createApiToken.secret === null) throw new Error([...byField(createApiToken.userErrors).values()].join('; '));
  return createApiToken.secret;
}

// ---- What has to be refused

export async function refused(thing: Thing, rows: RecipientRows): Promise<void> {
  // @ts-expect-error a variable is missing
  await request(JobDocument, {});
  // @ts-expect-error a variable that the operation does not have
  await request(JobDocument, { id: 'x', campaignId: 'x' });
  // @ts-expect-error ids are texts
  await request(JobDocument, { id: 1 });
  // @ts-expect-error so are addresses
  await request(AddressDocument, { email: 1 });
  // @ts-expect-error and moments
  await request(UnmatchedEventsDocument, { filter: { since: new Date() } });
  // @ts-expect-error no such status
  await request(RecipientsDocument, { campaignId: 'x', filter: { or: [{ status: ['BOUNCED'] }] } });
  // @ts-expect-error a campaign needs a key
  await request(CreateCampaignDocument, { input: { name: 'Spring' } });

  const { campaign } = await request(CampaignDocument, { id: 'x' });
  // @ts-expect-error there may be no such campaign
  console.log(campaign.name);
  // @ts-expect-error it may have no subject
  console.log(campaign?.subject.length);
  // @ts-expect-error the operation does not ask for it
  console.log(campaign?.recipients);
  // @ts-expect-error not every thing has an address
  console.log(thing.email);
  // @ts-expect-error the list may be empty
  console.log(rows.edges[0].cursor);
  // @ts-expect-error what was answered is not changed
  rows.edges.pop();
}
