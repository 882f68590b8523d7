#include "work/scripted_worker.h"
namespace lathe {}
