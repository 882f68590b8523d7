// Links in the record of contacts.
#include "app/cli/link_contact.h"

#include "serve/net/endpoint.h"

namespace lathe::app {

Status record_link(const App& app, serve::ContactKind kind, const std::string& address) {
  if (!address.contains(':')) return {};  // a port of this machine
  LATHE_TRY(const serve::UrlParts parts, serve::parts_of("http://" + address));
  const Reach reach = serve::reach_of_host(parts.host);
  if (reach == Reach::kLocal) return {};
  if (reach == Reach::kAny && kind == serve::ContactKind::kOut)
    return fail(ErrorKind::kDenied,
                "{}: a link is neither encrypted nor signed and goes no farther than the own "
                "network; write an address of that, or NAME.local",
                address);
  if (!app.contacts)
    return fail(ErrorKind::kDenied, "{}: there is no record to write the contact into", address);
  LATHE_TRY(
      const std::string id,
      app.contacts->begin({.kind = kind,
                           .host = parts.host,
                           .reach = reach,
                           .allowed_by = kind == serve::ContactKind::kOut ? "--link" : "--listen",
                           .what = "what the first layers of a model made of its texts"}));
  return {};
}

}  // namespace lathe::app
