// A Worker with the route shop.example/k7f2q9w3/* and another, shop.example/.well-known/gpc.json
// t.shop.example is a proxied DNS record of the same zone; it leads to a web server before the proxy that answers for
// both names, from Cloudflare's published networks only. The Host header stays the site's own name.
// In the proxy's configuration besides: client_ip_preset = "cloudflare"
export default {
  fetch(request) {
    return fetch(request, { cf: { resolveOverride: "t.shop.example" } });
  },
};
