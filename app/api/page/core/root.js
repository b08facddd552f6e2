// The path that the service is served under: "/", or the prefix of a proxy and a slash.

export const ROOT = new URL("../../", import.meta.url).pathname;
