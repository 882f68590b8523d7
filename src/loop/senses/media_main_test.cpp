// The tests' own main: the media workers that they use are this program, started again.
#include <testing/media_main.h>

int main(int argc, char** argv) {
  return lathe::testing::media_main(argc, argv);
}
