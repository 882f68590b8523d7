// The endpoints: one file each, or one for a few that belong together. routes.cpp says where they
// are.
#pragma once

#include "serve/server/call.h"

namespace lathe {

Outcome chat_completions(Call& call);

Outcome list_models(Call& call);
Outcome show_model(Call& call);

Outcome health(Call& call);
Outcome version(Call& call);

}  // namespace lathe
