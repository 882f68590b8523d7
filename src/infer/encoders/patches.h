// Patches of a picture: in which order they go through an encoder, their embedding, their
// positions, and how several become one row.
#pragma once

#include "infer/encoders/vit.h"

namespace lathe::infer {

// The patches of one input, `columns` × `rows` of them.
struct PatchGrid {
  std::size_t columns = 0, rows = 0;

  static PatchGrid of(PictureSize size, std::size_t patch);
  std::size_t count() const { return columns * rows; }
};

struct Patch {
  std::size_t row = 0, column = 0;
};

// Row by row.
std::vector<Patch> in_rows(const PatchGrid& grid);

// A kernel of convolution as wide as its stride: each patch's pixels, colour by colour, times a
// matrix. Several kernels: of the frames of a film; a picture is the same frame in all.
class PatchEmbedding {
 public:
  PatchEmbedding(WeightList& list, const ClipHeader& header, std::size_t kernels = 1);
  // pass.x, from row `first` on = the patches' embeddings.
  void run(EncoderPass& pass, const PixelPlanes& pixels, std::span<const Patch> patches,
           std::size_t first = 0) const;

 private:
  std::size_t patch_, width_;
  std::vector<LinearLayer> kernels_;
  std::vector<float> bias_;
};

// A table of learned positions (size, size, width), laid over a grid of another size.
enum class TableFit : std::uint8_t {
  kCorners,      // bilinear; the corners stay where they are
  kAntialiased,  // triangles as wide as a step of the new grid, at least one of the table's; pixel
                 // centres at halves (PyTorch's antialiased bilinear)
};
// pass.x row i += the position of patches[i]. The table as it is where the sizes are the same.
void add_positions(EncoderPass& pass, const std::vector<float>& table, std::size_t size,
                   TableFit fit, const PatchGrid& grid, std::span<const Patch> patches);

// base^(−2i / dimensions) for i < count.
std::vector<double> rotary_frequencies(double base, std::size_t count, std::size_t dimensions);
// angle(patch, i): of the i-th of head_dim / 2 pairs.
Rotation rotation_of(std::span<const Patch> patches, std::size_t head_dim, std::size_t parts,
                     bool split_halves,
                     const std::function<double(const Patch&, std::size_t)>& angle);

// Squares of merge × merge patches that become one row; those at the far borders may reach beyond
// the grid.
struct Merged {
  PatchGrid grid;  // of patches
  std::size_t merge = 1;

  std::size_t columns() const { return (grid.columns + merge - 1) / merge; }
  std::size_t rows() const { return (grid.rows + merge - 1) / merge; }
  std::size_t count() const { return columns() * rows(); }
  // f(place, patch) for the patches of the i-th square that there are: place 0 … merge² − 1 in the
  // square and number in the grid, both row by row.
  template <class F>
  void each(std::size_t i, F&& f) const {
    const std::size_t top = i / columns() * merge, left = i % columns() * merge;
    for (std::size_t place = 0; place < merge * merge; ++place) {
      const std::size_t row = top + place / merge, column = left + place % merge;
      if (row < grid.rows && column < grid.columns) f(place, row * grid.columns + column);
    }
  }
};

}  // namespace lathe::infer
