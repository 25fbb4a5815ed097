"use strict";

// GraphiQL for our /graphql: the session's cookie goes along, and so does the header that it needs.
(() => {
  const saved = [
    `# Who am I, and what may I do?
query Viewer {
  viewer {
    name
    role
  }
}
`,
    `# How are the latest campaigns doing?
query Campaigns {
  campaigns(first: 10) {
    nodes {
      id
      name
      state
      sentAt
      statistics {
        recipients
        sent
        delivered
        opened
        clicked
        softBounced
        hardBounced
        openRate
        bounceRate
      }
    }
  }
}
`,
    `# Who did not get it, and why? Put a campaign's id into the variables.
query Bounced($campaign: ID!) {
  campaign(id: $campaign) {
    name
    bounceReasons {
      bounceClass
      enhancedCode
      recipients
    }
    recipients(filter: { status: [SOFT_BOUNCED, HARD_BOUNCED] }, first: 50) {
      nodes {
        email
        status
        bounceClass
        bounceReason
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
`,
    `# Which events match no recipient?
query Unmatched {
  unmatchedEvents(first: 50) {
    nodes {
      id
      kind
      occurredAt
    }
  }
}
`,
    `# Watch a campaign's figures move. Put its id into the variables.
subscription Watch($campaign: ID!) {
  campaignStatistics(campaignId: $campaign) {
    sent
    delivered
    opened
    clicked
    updatedAt
  }
}
`,
  ];
  const withVariables = (query) => (query.includes("$campaign") ? { query, variables: '{\n  "campaign": ""\n}' } : { query });

  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const fetcher = GraphiQL.createFetcher({
    url: "/graphql",
    headers: { "X-Nachfass": "1" },
    subscriptionUrl: `${scheme}//${location.host}/graphql/ws`,
  });

  ReactDOM.createRoot(document.getElementById("graphiql")).render(
    React.createElement(GraphiQL, { fetcher, defaultTabs: saved.map(withVariables), shouldPersistHeaders: false }),
  );
})();
