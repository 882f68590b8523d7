# The programs that are put into Lathe: lathe_gpu_kernel(<name> FILE <k> [DEFINES <definitions…>]).
lathe_gpu_kernel(add_one FILE add_one.k)

# Products, for each type of weights.
foreach(type Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 NVFP4 TQ1_0 TQ2_0 Q1_0 Q2_0)
  string(TOLOWER ${type} name)
  lathe_gpu_kernel(matmul_narrow_${name} FILE matmul_narrow.k DEFINES TYPE_${type})
  lathe_gpu_kernel(matmul_wide_${name} FILE matmul_wide.k DEFINES TYPE_${type})
endforeach()
foreach(type F32 F16 BF16)
  string(TOLOWER ${type} name)
  lathe_gpu_kernel(matmul_float_${name} FILE matmul_float.k DEFINES TYPE_${type})
endforeach()

# What stands between products; of what is remembered, for each type of it.
lathe_gpu_kernel(add_norm FILE add_norm.k)
lathe_gpu_kernel(activate FILE activate.k)
lathe_gpu_kernel(fold FILE fold.k)
foreach(type F16 Q8_0)
  string(TOLOWER ${type} name)
  lathe_gpu_kernel(heads_${name} FILE heads.k DEFINES KV_${type})
  lathe_gpu_kernel(attend_${name} FILE attend.k DEFINES KV_${type})
endforeach()
