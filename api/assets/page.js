"use strict";

// Signing out changes something, so it needs the header that only our own pages can send.
document.getElementById("sign-out")?.addEventListener("click", async () => {
  await fetch("/session", { method: "DELETE", headers: { "X-Nachfass": "1" } });
  location.reload();
});
