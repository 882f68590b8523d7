# The programs of a GPU: src/infer/kernels/gpu/*.k, made SPIR-V by glslc and put into the program by the assembler. Without glslc,
# or without Vulkan's headers, Lathe is built without its Vulkan module, and says so where one is asked for.
find_program(LATHE_GLSLC glslc)
find_path(LATHE_VULKAN_HEADERS vulkan/vulkan_core.h)
set(LATHE_VULKAN OFF)
if(LATHE_GLSLC AND LATHE_VULKAN_HEADERS)
  set(LATHE_VULKAN ON)
endif()
set(LATHE_GPU_DIR ${PROJECT_BINARY_DIR}/gpu)

# lathe_gpu_kernel(<name> FILE <k> [DEFINES <definitions…>]): gpu_spirv("<name>") is the program of src/infer/kernels/gpu/<k>, and
# "<name>_by_doubles" the one for devices whose fma rounds twice.
function(lathe_gpu_kernel name)
  cmake_parse_arguments(ARG "" "FILE" "DEFINES" ${ARGN})
  if(LATHE_VULKAN)
    lathe_gpu_program(${name} ${ARG_FILE} "${ARG_DEFINES}")
    lathe_gpu_program(${name}_by_doubles ${ARG_FILE} "${ARG_DEFINES};FMA_BY_DOUBLES")
  endif()
endfunction()

function(lathe_gpu_program name file defines)
  set(source ${PROJECT_SOURCE_DIR}/src/infer/kernels/gpu/${file})
  set(program ${LATHE_GPU_DIR}/${name}.spv)
  list(REMOVE_ITEM defines "")
  list(TRANSFORM defines PREPEND -D)
  add_custom_command(OUTPUT ${program} DEPENDS ${source} DEPFILE ${program}.d
    COMMAND ${LATHE_GLSLC} -std=450core -x glsl -fshader-stage=comp --target-env=vulkan1.3 -O -DLATHE_GLSL ${defines}
      -I${PROJECT_SOURCE_DIR}/src -MD -MF ${program}.d -MT ${program} -o ${program} ${source}
    COMMENT "SPIR-V of ${name}" VERBATIM)
  set_property(GLOBAL APPEND PROPERTY LATHE_GPU_KERNELS ${name})
endfunction()

# Those of src/infer/kernels/gpu/kernels.cmake, put into lathe_gpu.
function(lathe_gpu_kernels)
  include(${PROJECT_SOURCE_DIR}/src/infer/kernels/gpu/kernels.cmake)
  get_property(names GLOBAL PROPERTY LATHE_GPU_KERNELS)
  if(NOT names)
    return()
  endif()
  set(list "")
  set(programs "")
  foreach(name IN LISTS names)
    string(APPEND list "LATHE_GPU_KERNEL(${name})\n")
    list(APPEND programs ${LATHE_GPU_DIR}/${name}.spv)
  endforeach()
  file(MAKE_DIRECTORY ${LATHE_GPU_DIR})
  file(CONFIGURE OUTPUT ${LATHE_GPU_DIR}/list.inc CONTENT "${list}")  # written only where it changes
  add_custom_target(lathe_gpu_programs DEPENDS ${programs})
  add_dependencies(lathe_gpu lathe_gpu_programs)
  set_source_files_properties(infer/kernels/gpu/spirv.cpp TARGET_DIRECTORY lathe_gpu PROPERTIES
    COMPILE_DEFINITIONS "LATHE_GPU_DIR=\"${LATHE_GPU_DIR}\";LATHE_GPU_LIST=\"${LATHE_GPU_DIR}/list.inc\""
    OBJECT_DEPENDS "${LATHE_GPU_DIR}/list.inc;${programs}" SKIP_PRECOMPILE_HEADERS ON)
endfunction()

# The sources of infer/device with a Vulkan module, or without.
function(lathe_device_sources room list)
  if(room STREQUAL "infer/device")
    set(sources ${${list}})
    if(LATHE_VULKAN)
      list(FILTER sources EXCLUDE REGEX "/no_vulkan\\.cpp$")
    else()
      list(FILTER sources EXCLUDE REGEX "/vulkan_[^/]*\\.cpp$")
    endif()
    set(${list} ${sources} PARENT_SCOPE)
  endif()
endfunction()
