"""Exported C on emulated boards: does it run there, in how many instructions, RAM and flash?

QEMU counts instructions exactly and models no cycles, caches or wait states.
"""
