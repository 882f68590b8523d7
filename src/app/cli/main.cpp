#include "app/cli/app.h"

int main(int argc, char** argv) {
  return lathe::run_cli(argc, argv);
}
