// Both kernels of products of one integer type: TYPE_… names it.
namespace narrow {
#include "infer/kernels/gpu/matmul_narrow.k"
}
namespace wide {
#include "infer/kernels/gpu/matmul_wide.k"
}
#define FORMAT_FIELDS(a, b, c, d, e, f, g, h, i, j) , a, b, c, d, e, f, g, h, i, j
#define FORMAT_AGREES(type) agrees(packed_format_of(type) FORMAT(FORMAT_FIELDS))
