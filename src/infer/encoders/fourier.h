// The discrete Fourier transform of windows of real samples, of any length, split by its prime
// factors (Cooley and Tukey 1965), in double. Immutable once made; any thread, each with a Work of
// its own.
#pragma once

#include <complex>
#include <span>
#include <vector>

namespace lathe::infer {

class Fourier {
 public:
  explicit Fourier(std::size_t length);
  std::size_t length() const { return roots_.size(); }

  using Complex = std::complex<double>;
  struct Work {
    std::vector<Complex> input, output, spare;  // (length) each
  };
  // To work.output.
  void transform(std::span<const double> window, Work& work) const;

 private:
  void transform(const Complex* in, std::size_t stride, std::size_t n, Complex* out,
                 Complex* spare) const;
  std::vector<Complex> roots_;  // e^(-2πik/length)
};

}  // namespace lathe::infer
