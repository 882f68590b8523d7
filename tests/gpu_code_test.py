#!/usr/bin/env python3
"""What compilers make of the kernels of a GPU, without one: SPIR-V as glslc writes it, and RDNA3's machine code as RADV writes it
for its null device. That no compiler joins what is to be rounded twice, or rounds twice what is to be rounded once; that nothing
spills; that no kernel costs more than 5 % more than tests/data/gpu_code.txt says, where the driver is the one that wrote it.

usage: gpu_code_test.py spirv TOOL              TOOL: lathe_gpu_compile
       gpu_code_test.py radv TOOL [--write]     --write: writes tests/data/gpu_code.txt
       gpu_code_test.py --self-test             check that the checks find what they must
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TABLE = pathlib.Path(__file__).resolve().parent / "data/gpu_code.txt"
DRIVER = "/usr/share/vulkan/icd.d/radeon_icd.x86_64.json"
COSTS = {"vgprs": "VGPRs", "lds": "LDS size", "instructions": "Instructions", "latency": "Latency", "inverse": "Inverse Throughput"}
BY_DOUBLES = "_by_doubles"  # programs for devices whose fma rounds twice
MODES = ("RoundingModeRTE 32", "SignedZeroInfNanPreserve 32")


def spirv_problems(name, text):
    kept = set(re.findall(r"OpDecorate (%\w+) NoContraction", text))
    problems = [f"{name}: {operation} {result} may be contracted"
                for result, operation in re.findall(r"(%\w+) = (OpF(?:Add|Sub|Mul)) ", text) if result not in kept]
    if "OpCapability Float64" in text and not name.endswith(BY_DOUBLES):
        problems.append(f"{name}: doubles, which not every GPU has")
    problems += [f"{name}: no execution mode {mode}" for mode in MODES if not re.search(rf"OpExecutionMode %\w+ {mode}$", text, re.M)]
    if re.search(r"= Op(?:FMod|FRem|Dot|OuterProduct) |OpGroupNonUniformF|OpAtomicF", text):
        problems.append(f"{name}: an operation whose order or rounding is the device's")
    return problems


def programs(tool):
    """name -> SPIR-V in words, of every kernel."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([tool, directory], check=True)
        for file in sorted(pathlib.Path(directory).glob("*.spv")):
            subprocess.run(["spirv-val", "--target-env", "vulkan1.3", "--scalar-block-layout", file], check=True)
            yield file.stem, subprocess.run(["spirv-dis", file], check=True, capture_output=True, text=True).stdout


def read_radv(text):
    """name -> (machine code, statistics)"""
    kernels = {}
    for part in re.split(r"^kernel ", text, flags=re.M)[1:]:
        name, rest = part.split("\n", 1)
        if name != "end":
            code = rest.rsplit("disasm:", 1)[-1].split("SHADER STATS")[0]
            kernels[name] = code, {key: int(value) for key, value in re.findall(r"^([\w .-]+): (\d+)$", rest, re.M)}
    return kernels


def fused_count(code):
    return len(re.findall(r"v_(?:dual_)?fma", code))


def radv_problems(name, code, stats, spirv):
    problems = [f"{name}: {word}" for word in sorted(set(re.findall(r"v_(?:mad|mac|madmk|madak)_(?:f32|legacy_f32|mix\w*)\w*", code)))]
    problems += [f"{name}: {key}: {value}" for key, value in stats.items() if key in ("Spilled SGPRs", "Spilled VGPRs", "Scratch size") and value]
    fused, wanted = fused_count(code), spirv.count(" Fma ")
    if fused < 0.9 * wanted:  # equal ones of two branches may have become one
        problems.append(f"{name}: {fused} fused multiplications and additions of {wanted}")
    if re.search(r"Op\w*SDot\w* ", spirv) and "v_dot4_i32_i" not in code:
        problems.append(f"{name}: no v_dot4")
    return problems


def read_table(text):
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    rows = {row[0]: dict(zip(COSTS, map(int, row[1:]))) for row in (line.split() for line in lines[1:])}
    return lines[0] if lines else "", rows


def cost_problems(name, costs, recorded):
    if recorded is None:
        return [f"{name} is not in {TABLE.name}: write it (gpu_code_test.py radv TOOL --write)"]
    return [f"{name}: {key} {costs[key]}, was {recorded[key]}" for key in COSTS if costs[key] > 1.05 * recorded[key]]


def radv(tool, write):
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"XDG_RUNTIME_DIR": directory, "RADV_FORCE_FAMILY": "gfx1100", "VK_ICD_FILENAMES": DRIVER,
                                    "VK_DRIVER_FILES": DRIVER, "RADV_DEBUG": "shaders,shaderstats,nocache"}
        ran = subprocess.run([tool], env=environment, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr[-2000:])
    driver, kernels = ran.stdout.strip(), read_radv(ran.stderr)
    costs = {name: {key: stats[word] for key, word in COSTS.items()} for name, (_, stats) in kernels.items()}
    if write:
        TABLE.write_text("# What RADV says that kernels cost: gpu_code_test.py radv TOOL --write. Kernel, " + ", ".join(COSTS.values()) + ".\n"
                         + driver + "\n" + "".join(f"{name} {' '.join(map(str, row.values()))}\n" for name, row in sorted(costs.items())))
    written_by, recorded = read_table(TABLE.read_text())
    spirv = {name: text for name, text in programs(tool) if not name.endswith(BY_DOUBLES)}
    problems = [f"{name} was not compiled" for name in spirv if name not in kernels]
    for name, (code, stats) in kernels.items():
        problems += radv_problems(name, code, stats, spirv[name])
        if driver == written_by:
            problems += cost_problems(name, costs[name], recorded.get(name))
    return problems, len(kernels)


def self_test():
    good = "OpExecutionMode %4 SignedZeroInfNanPreserve 32\nOpExecutionMode %4 RoundingModeRTE 32\nOpDecorate %7 NoContraction\n%7 = OpFMul %float %1 %2\n"
    assert spirv_problems("k", good) == []
    assert len(spirv_problems("k", good.replace("OpDecorate %7", "OpDecorate %8"))) == 1
    assert len(spirv_problems("k", good.replace("RTE", "RTZ"))) == 1
    assert len(spirv_problems("k", good + "OpCapability Float64\n")) == 1 and spirv_problems("k_by_doubles", good + "OpCapability Float64\n") == []
    assert spirv_problems("k", good + "%9 = OpSDot %int %1 %2\n") == []
    assert len(spirv_problems("k", good + "%9 = OpDot %float %1 %2\n")) == 1
    stats = "VGPRs: 12\nSpilled VGPRs: 0\nLDS size: 0\nInstructions: 16\nLatency: 602\nInverse Throughput: 38\n"
    kernels = read_radv(f"x\nkernel k\nNIR\ndisasm:\n v_fma_f32 v0, v1, v2, v3\nSHADER STATS\n{stats}\nkernel end\n")
    code, read = kernels["k"]
    assert read["Inverse Throughput"] == 38 and radv_problems("k", code, read, "%8 = OpExtInst %float %1 Fma %2") == []
    assert len(radv_problems("k", code.replace("fma", "mad"), read | {"Spilled VGPRs": 3}, " Fma ")) == 3
    assert len(radv_problems("k", code, read, "%9 = OpSDot %int")) == 1
    assert len(radv_problems("k", code, read, "%8 = OpExtInst %float %1 Fma %2\n" * 2)) == 1
    assert fused_count("v_dual_fmac_f32 v0, v1, v2 :: v_dual_fmaak_f32 v3, v4, v5, 0x1\nv_fmac_f32 v0, v1, v2\nv_mul_f32 v0, v1, v2") == 3
    row = {"vgprs": 12, "lds": 0, "instructions": 100, "latency": 100, "inverse": 100}
    assert cost_problems("k", row | {"latency": 105}, row) == []
    assert len(cost_problems("k", row | {"latency": 106}, row)) == 1
    assert len(cost_problems("k", row, None)) == 1
    assert read_table("# a\nNull, 22\nk 1 2 3 4 5\n") == ("Null, 22", {"k": dict(zip(COSTS, (1, 2, 3, 4, 5)))})
    print("the checks find what they must")


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    kind, tool = arguments[:2]
    if kind == "radv":
        problems, count = radv(tool, "--write" in arguments)
    else:
        texts = dict(programs(tool))
        problems, count = [problem for name, text in texts.items() for problem in spirv_problems(name, text)], len(texts)
    if problems or not count:
        raise SystemExit("\n".join(problems) or "no kernels")
    print(f"{count} kernels are as they must be")


if __name__ == "__main__":
    main(sys.argv[1:])
