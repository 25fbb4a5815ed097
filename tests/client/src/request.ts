// The way to the API: everything that a page needs beside the generated documents.
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';

/** An entry of `errors`; docs/API.md lists the codes. */
export interface Problem {
  readonly message: string;
  readonly extensions?: { readonly code?: string; readonly field?: readonly string[]; readonly id?: string };
}

interface Answer<TData> {
  readonly data?: TData | null;
  readonly errors?: readonly Problem[];
}

export class RequestFailed extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map((problem) => problem.message).join('; '));
    this.problems = problems;
  }
}

/**
 * One query or mutation, as a page of ours asks it: with the cookie of the session. The document alone says which
 * variables there are; without `NoInfer`, more of them would be taken.
 */
export async function request<TData, TVariables extends Record<string, unknown>>(
  document: TypedDocumentNode<TData, TVariables>,
  variables: NoInfer<TVariables>,
): Promise<TData> {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Nachfass': '1' },
    body: JSON.stringify({ query: print(document), variables }),
  });
  // Whatever is not 200 has not reached GraphQL.
  if (!response.ok) {
    throw new RequestFailed([{ message: `HTTP ${response.status}` }]);
  }
  const { data, errors } = (await response.json()) as Answer<TData>;
  if (errors !== undefined || data === undefined || data === null) {
    throw new RequestFailed(errors ?? []);
  }
  return data;
}

type Message<TData> =
  | { readonly type: 'connection_ack' | 'complete' | 'ping' | 'pong' }
  | { readonly type: 'next'; readonly payload: Answer<TData> }
  | { readonly type: 'error'; readonly payload: readonly Problem[] };

/** A subscription by the protocol graphql-transport-ws. What it answers ends it. */
export function subscribe<TData, TVariables extends Record<string, unknown>>(
  document: TypedDocumentNode<TData, TVariables>,
  variables: NoInfer<TVariables>,
  each: (data: TData) => void,
  failed: (error: RequestFailed) => void,
): () => void {
  const address = new URL('/graphql/ws', location.href);
  address.protocol = address.protocol.replace('http', 'ws');
  const socket = new WebSocket(address, 'graphql-transport-ws');
  const send = (message: object) => socket.send(JSON.stringify(message));
  socket.onopen = () => send({ type: 'connection_init' });
  socket.onmessage = ({ data: text }: MessageEvent<string>) => {
    const message = JSON.parse(text) as Message<TData>;
    switch (message.type) {
      case 'connection_ack':
        send({ id: '1', type: 'subscribe', payload: { query: print(document), variables } });
        break;
      case 'ping':
        send({ type: 'pong' });
        break;
      case 'next':
        if (message.payload.errors === undefined && message.payload.data) {
          each(message.payload.data);
        } else {
          failed(new RequestFailed(message.payload.errors ?? []));
        }
        break;
      case 'error':
        failed(new RequestFailed(message.payload));
        break;
      case 'complete':
        socket.close(1000);
        break;
      case 'pong':
        break;
    }
  };
  return () => socket.close(1000);
}
