"use strict";

// GraphiQL for our /graphql: the session's cookie goes along, and so does the header that it needs.
(async () => {
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
    `# Who did not get it, and why? The campaign's id is in the variables below.
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
    `# Export the blocked addresses into a file. userErrors says what was refused, and why.
mutation Export {
  exportAddresses(input: { format: CSV }) {
    job {
      id
      state
    }
    userErrors {
      code
      field
      message
    }
  }
}
`,
    `# What became of the latest jobs? An export's result has a link to its file.
query Jobs {
  jobs(first: 10) {
    nodes {
      id
      kind
      state
      done
      error
      result {
        file {
          name
          rows
          url
        }
      }
    }
  }
}
`,
    `# Watch a campaign's figures move. The campaign's id is in the variables below.
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
  const headers = { "X-Nachfass": "1" };

  // The id of the latest campaign, for the queries that need one; none where there is no campaign yet.
  const latestCampaign = async () => {
    const body = JSON.stringify({ query: "{ campaigns(first: 1) { nodes { id } } }" });
    const init = { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body };
    const answer = await (await fetch("/graphql", init)).json();
    return answer.data?.campaigns.nodes[0]?.id;
  };
  const campaign = await latestCampaign().catch(() => undefined);
  const missing = "# There is no campaign yet: import one, then put its id into the variables below.\n";
  const tab = (query) => {
    if (!query.includes("$campaign")) return { query };
    const variables = JSON.stringify({ campaign: campaign ?? "" }, null, 2);
    return { query: campaign ? query : missing + query, variables };
  };

  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const fetcher = GraphiQL.createFetcher({
    url: "/graphql",
    headers,
    subscriptionUrl: `${scheme}//${location.host}/graphql/ws`,
  });

  ReactDOM.createRoot(document.getElementById("graphiql")).render(
    React.createElement(GraphiQL, {
      fetcher,
      defaultTabs: saved.map(tab),
      defaultEditorToolsVisibility: "variables",
      inputValueDeprecation: true,
      schemaDescription: true,
      shouldPersistHeaders: false,
    }),
  );
})();
