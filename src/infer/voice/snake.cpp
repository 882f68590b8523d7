// sin² by the nearest multiple of π and a polynomial.
#include "infer/voice/snake.h"

#include <numbers>

namespace lathe::infer {

double sine_squared(double x) {
  constexpr double kRounder = 0x1.8p52;  // what is added to it loses its fraction
  constexpr double kPiRest = 1.2246467991473532e-16;
  const double turns = (x * (1 / std::numbers::pi) + kRounder) - kRounder;
  const double r = (x - turns * std::numbers::pi) - turns * kPiRest, s = r * r;
  // Taylor's series of sin(r)/r, which ends below 1e-10 for |r| ≤ π/2.
  double sum = -1.0 / 1307674368000.0;
  sum = sum * s + 1.0 / 6227020800.0;
  sum = sum * s - 1.0 / 39916800.0;
  sum = sum * s + 1.0 / 362880.0;
  sum = sum * s - 1.0 / 5040.0;
  sum = sum * s + 1.0 / 120.0;
  sum = sum * s - 1.0 / 6.0;
  sum = sum * s + 1.0;
  const double sine = r * sum;
  return sine * sine;
}

void Snake::run(const float* x, float* out) const {
  for (std::size_t c = 0; c < alpha_.size(); ++c) {
    const double wave = sine_squared(double{alpha_[c]} * double{x[c]});
    out[c] = static_cast<float>(double{x[c]} + double{beta_[c]} * wave);
  }
}

}  // namespace lathe::infer
