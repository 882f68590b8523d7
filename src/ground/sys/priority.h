// Threads that give way to others.
#pragma once

namespace lathe {

// Where others want the processor too, this thread and those that it starts from now on get about
// a tenth of it (nice 10); where nobody does, all of it. For good. Nothing happens where the system
// does not let it.
void give_way_to_others();

}  // namespace lathe
