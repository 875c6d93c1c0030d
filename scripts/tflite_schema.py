#!/usr/bin/env python3
"""Derives a FlatBuffers schema of .tflite files from the Python package `tflite`, which flatc made of the original.

    scripts/tflite_schema.py tflite-2.18.0-py2.py3-none-any.whl tflite.fbs

The generated code holds slots, types and defaults of all tables and the values of all enumerations. It does not hold
which enumeration a scalar field is of and which vectors are aligned beyond their elements; both stand below.
Fails when the code has a form that this program does not know.
"""

import re
import sys
import zipfile

# field, or table.field -> enumeration
ENUMERATIONS = {
    "padding": "Padding", "fused_activation_function": "ActivationFunctionType", "type": "TensorType",
    "LSHProjectionOptions.type": "LSHProjectionType", "in_data_type": "TensorType", "out_data_type": "TensorType",
    "output_type": "TensorType", "out_type": "TensorType", "idx_out_type": "TensorType",
    "quantized_bias_type": "TensorType", "key_dtype": "TensorType", "value_dtype": "TensorType",
    "format": "DimensionType", "combiner": "CombinerType", "weights_format": "FullyConnectedOptionsWeightsFormat",
    "kernel_type": "LSTMKernelType", "MirrorPadOptions.mode": "MirrorPadMode",
    "custom_options_format": "CustomOptionsFormat", "composite_attributes_format": "CustomOptionsFormat",
    "builtin_code": "BuiltinOperator", "reduce_function": "ReduceWindowFunction", "algorithm": "RngAlgorithm",
    "comparison_direction": "StablehloComparisonDirection", "compare_type": "StablehloComparisonType",
    "precision_config": "StablehloPrecisionConfig",
}
UNIONS = {"builtin_options": "BuiltinOptions", "builtin_options_2": "BuiltinOptions2",
          "details": "QuantizationDetails", "array_segments": "SparseIndexVector", "array_indices": "SparseIndexVector"}
ALIGNMENTS = {"Buffer.data": 16, "CustomQuantization.custom": 16, "Uint16Vector.values": 4, "Uint8Vector.values": 4}
SCALARS = {"Bool": "bool", "Int8": "byte", "Uint8": "ubyte", "Int16": "short", "Uint16": "ushort", "Int32": "int",
           "Uint32": "uint", "Int64": "long", "Uint64": "ulong", "Float32": "float", "Float64": "double"}

ADD_SLOT = re.compile(r"def {0}Add(\w+)\(builder, \w+\):\s+builder\.Prepend(\w+)Slot\((\d+), [^\n]*, ([-\d.]+)\)")


def snake(name):
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"(?<=[a-z])(?=\d+$)", "_", name).lower()


def enumeration(name, code):
    values = re.findall(r"^    (\w+) = (-?\d+)$", code, re.M)
    if not values:
        raise ValueError(f"{name} has no values")
    return [(value, int(number)) for value, number in values]


def reference_type(table, name, code):
    """The type of a field that is an offset: string, table or vector."""
    reader = re.search(rf"    def {name}\(self(, j)?\):\n(.*?)\n\n", code, re.S)
    if not reader:
        raise ValueError(f"{table}.{name} has no reader")
    body = reader[2]
    target = re.search(r"from tflite\.\w+ import (\w+)", body)
    element = re.search(r"number_types\.(\w+)Flags, a \+", body)
    if target:
        found = target[1]
    elif "self._tab.String(" in body:
        found = "string"
    elif element:
        found = SCALARS[element[1]]
    else:
        raise ValueError(f"{table}.{name} is of a kind unknown here")
    return f"[{found}]" if reader[1] else found


def fields_of(table, code):
    """slot -> (name, type, default); a union has the slot of its value, and its type stands in the slot before."""
    fields = {}
    for name, kind, slot, default in re.findall(ADD_SLOT.pattern.format(table), code):
        field = snake(name)
        if kind != "UOffsetTRelative":
            fields[int(slot)] = (field, SCALARS[kind], default)
        elif field in UNIONS:
            fields[int(slot)] = (field, UNIONS[field], None)
        else:
            fields[int(slot)] = (field, reference_type(table, name, code), None)
    count = int(re.search(r"StartObject\((\d+)\)", code)[1])
    if fields and max(fields) >= count or len(re.findall(r"builder\.Prepend\w+Slot\(", code)) != len(fields):
        raise ValueError(f"{table}: {count} slots do not fit the fields {fields}")
    for slot in [slot for slot, field in fields.items() if field[1] in UNIONS.values()]:
        if fields.pop(slot - 1)[1] != "ubyte":
            raise ValueError(f"{table}: the slot before a union is not its type")
    return fields, count


def enumerated(table, field, scalar, uses):
    """The enumeration of a scalar field, or the scalar itself; notes the scalar as the enumeration's type."""
    found = ENUMERATIONS.get(f"{table}.{field}") or ENUMERATIONS.get(field)
    bare = scalar.strip("[]")
    if not found or bare not in ("byte", "int", "uint"):
        return scalar
    if uses.setdefault(found, bare) != bare:
        raise ValueError(f"{found} is used as {uses[found]} and as {bare}")
    return scalar.replace(bare, found)


def default_text(scalar, kind, default, enums):
    if default is None or float(default) == 0 and kind not in enums:
        return ""
    if kind in enums:
        return " = " + next(name for name, number in enums[kind] if number == int(default))
    return f" = {'true' if kind == 'bool' else default}"


def table_text(table, code, enums, uses):
    fields, count = fields_of(table, code)
    union_tags = {slot - 1 for slot, field in fields.items() if field[1] in UNIONS.values()}
    lines = []
    for slot in range(count):
        if slot in union_tags:
            continue
        if slot not in fields:
            lines.append(f"  deprecated_{slot}:string (deprecated);")
            continue
        field, scalar, default = fields[slot]
        kind = enumerated(table, field, scalar, uses)
        alignment = ALIGNMENTS.get(f"{table}.{field}")
        attribute = f" (force_align: {alignment})" if alignment else ""
        lines.append(f"  {field}:{kind}{default_text(scalar, kind, default, enums)}{attribute};")
    return f"table {table} {{\n" + "".join(line + "\n" for line in lines) + "}\n"


def derive(wheel):
    with zipfile.ZipFile(wheel) as archive:
        codes = {name[len("tflite/"):-len(".py")]: archive.read(name).decode() for name in sorted(archive.namelist())
                 if re.fullmatch(r"tflite/[A-Z]\w*\.py", name)}
    enums = {name: enumeration(name, code) for name, code in codes.items() if "def Init(" not in code}
    uses = {}
    tables = [table_text(name, code, enums, uses) for name, code in codes.items() if name not in enums]
    parts = ["// Derived by scripts/tflite_schema.py; do not edit.\nnamespace tflite;\n"]
    for name, values in enums.items():
        if name in UNIONS.values():
            if [number for _, number in values] != list(range(len(values))) or values[0][0] != "NONE":
                raise ValueError(f"the members of union {name} are not numbered in a row")
            members = "".join(f"  {value},\n" for value, _ in values[1:])
            parts.append(f"union {name} {{\n{members}}}\n")
        else:
            members = "".join(f"  {value} = {number},\n" for value, number in values)
            parts.append(f"enum {name} : {uses[name]} {{\n{members}}}\n")
    identifier = re.search(r'BufferHasIdentifier\(buf, offset, b"([^"]+)"', codes["Model"])[1]
    identifier = bytes.fromhex(identifier.replace("\\x", "")).decode()
    return "\n".join(parts + tables) + f'\nroot_type Model;\nfile_identifier "{identifier}";\nfile_extension "tflite";\n'


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    text = derive(sys.argv[1])
    with open(sys.argv[2], "w", encoding="utf-8") as output:
        output.write(text)
