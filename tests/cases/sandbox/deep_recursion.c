volatile int sink;
static int deeper(int n) {
  volatile char frame[4096];
  frame[0] = (char)n;
  int result = deeper(n + 1) + frame[0];
  sink = result;
  return result;
}
int main(void) { return deeper(0); }
