// What a desk does in the database so that another machine can be a node there, and so that one can
// no longer. A node's role is its id; it belongs to kNodeRole and has a right to no table. The
// user of `address` must be allowed to make roles.
#pragma once

#include <string>

#include "ground/base/result.h"

namespace lathe::books {

// Makes the role, or gives one that is there this password. The password itself never reaches the
// database: what does is its SCRAM verifier. Errors: a role of this name that is no node's.
Status add_node_role(const std::string& address, const std::string& node,
                     const std::string& password);
// Whether there is one or not: it may not log in any more, its password is gone, its connections
// end.
Status drop_node_role(const std::string& address, const std::string& node);

// The desk's address as another machine writes it.
struct NodeAddress {
  std::string database;               // without user and password
  std::string root_certificate = {};  // the file that the address names
};
// `host` stands for a host that is this machine's alone. TLS that proves whose the database is (by
// the node's password, channel_binding) is asked for where the address does not say otherwise.
// Errors: no address of a database, options that no other machine can have.
Result<NodeAddress> address_for_node(const std::string& address, const std::string& host,
                                     const std::string& node);

}  // namespace lathe::books
