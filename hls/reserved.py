"""Names that no identifier of a project takes: words of C++, and what headers and generated sources declare at global scope.

`tests/hls/test_reserved.py` compares the lists with a project and the headers that it includes.
"""

from __future__ import annotations

import keyword
import re

WORDS = frozenset(
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class co_await "
    "co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do "
    "double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace "
    "new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires return "
    "short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef "
    "typeid typename typeof union unsigned using virtual void volatile wchar_t while xor xor_eq".split()
)
"""Of C++, up to C++20, and of compilers that read more than the standard."""

OWN = frozenset(
    "main input output muxflow axi_word axi_input axi_output hls std Files ImageFile frames_done differences".split()
)
"""What generated sources declare."""

HEADERS = frozenset(
    "alloca assert assert_perror be16toh be32toh be64toh daylight environ errno fd_mask fd_set getdate_err htobe16 htobe32 "
    "htobe64 htole16 htole32 htole64 i386 issubnormal jmp_buf le16toh le32toh le64toh linux major makedev math_errhandling "
    "minor offsetof optarg opterr optind optopt program_invocation_name program_invocation_short_name pthread_cleanup_pop "
    "pthread_cleanup_pop_restore_np pthread_cleanup_push pthread_cleanup_push_defer_np retval sched_priority setjmp "
    "sigjmp_buf signgam sigsetjmp ssdm_int_sim stderr stdin stdout strdupa strndupa timezone tzname u_char u_int u_long "
    "u_short uint ulong unix ushort va_list valtype".split()
)
"""Macros, types and variables of the headers of C and of the system; a function gives way to one of other arguments."""

TYPES = frozenset(
    "blkcnt blkcnt64 blksize caddr char16 char32 char8 clock clockid comparison_fn cookie_close_function cookie_io_functions "
    "cookie_read_function cookie_seek_function cookie_write_function cpu_set daddr dev div double error femode fenv fexcept "
    "float fpos fpos64 fpregset fsblkcnt fsblkcnt64 fsfilcnt fsfilcnt64 fsid gid greg gregset id ino ino64 int8 int16 int32 "
    "int64 int_fast8 int_fast16 int_fast32 int_fast64 int_least8 int_least16 int_least32 int_least64 intmax intptr key ldiv "
    "lldiv locale loff max_align mbstate mcontext mode nlink nullptr off off64 pid pthread pthread_attr pthread_barrier "
    "pthread_barrierattr pthread_cond pthread_condattr pthread_key pthread_mutex pthread_mutexattr pthread_once "
    "pthread_rwlock pthread_rwlockattr pthread_spinlock ptrdiff quad register rlim rlim64 sigset size socklen ssize stack "
    "suseconds time timer u_int8 u_int16 u_int32 u_int64 u_quad ucontext uid uint8 uint16 uint32 uint64 uint_fast8 "
    "uint_fast16 uint_fast32 uint_fast64 uint_least8 uint_least16 uint_least32 uint_least64 uintmax uintptr useconds wchar "
    "wctrans wctype wint".split()
)
"""Types of C and of the system, without the "_t" in which they end."""

RTL_WORDS = frozenset(
    # Of Verilog, SystemVerilog and VHDL, but for those that C++ has too.
    "abs accept_on access after alias all always always_comb always_ff always_latch architecture array assertion assign "
    "assume assume_guarantee attribute automatic before begin bind bins binsof bit block body buf buffer bufif0 bufif1 bus "
    "byte casex casez cell chandle checker clocking cmos component config configuration constant constraint context cover "
    "covergroup coverpoint cross deassign defparam design disable disconnect dist downto edge elsif end endcase endchecker "
    "endclass endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage endprimitive "
    "endprogram endproperty endsequence endspecify endtable endtask entity event eventually exit expect extends fairness "
    "file final first_match force foreach forever fork forkjoin function generate generic genvar global group guarded highz0 "
    "highz1 if iff ifnone ignore_bins illegal_bins impure implements implies import in inertial initial inout input inside "
    "instance integer interconnect interface intersect is join join_any join_none label large let liblist library linkage "
    "literal local localparam logic loop macromodule map matches medium mod modport module nand negedge nettype next nexttime "
    "nmos none nor noshowcancelled notif0 notif1 null of on open others out output package packed parameter pmos port posedge "
    "postponed primitive priority procedure process program property protected pull0 pull1 pulldown pullup "
    "pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence range rcmos real realtime record ref reg "
    "reject reject_on release rem repeat report restrict restrict_guarantee rnmos rol ror rpmos rtran rtranif0 rtranif1 "
    "s_always s_eventually s_nexttime s_until s_until_with scalared select sequence severity shared shortint shortreal "
    "showcancelled signal sla sll small soft solve specify specparam sra srl strength string strong strong0 strong1 subtype "
    "super supply0 supply1 sync_accept_on sync_reject_on table tagged task then throughout time timeprecision timeunit to "
    "tran tranif0 tranif1 transport tri tri0 tri1 triand trior trireg type unaffected unique unique0 units unsigned until "
    "until_with untyped use uwire var variable vectored virtual vmode void vprop vunit wait wait_order wand weak weak0 weak1 "
    "when wildcard wire with within wor xnor".split()
)
"""Of Verilog, SystemVerilog and VHDL, but for those that C++ has too: what no module and no entity is called, in any case.

The tool names both after the top function.
"""

_MACRO = re.compile(r"[^a-z]*[A-Z][^a-z]*[A-Z][^a-z]*|M_[0-9A-Z_]+[flx0-9]+|[LP]_tmp\w+|L_c\w+")
_ORDINARY = re.compile(
    r"(?:ADD|AVGPOOL|BILLNET|BN|CIFAR|CNN|CNV|CONV|DENSE|ERN|FC|GRU|HEQ|HGQ|KWS|LFC|LSTM|MAXPOOL|MLP|MNIST|MOBILENET|MOGNET"
    r"|POOL|RELU|RESNET|RNN|SFC|TFC|VGG)\d*(?:_\d+|_\d+W\d+A|_W\d+A\d+)*"
)
"""What networks and layers are called in capitals: none of it is a macro."""
_VENDOR = re.compile(r"(ap|af|AESL|AP)_\w+")


def is_type(stem: str) -> bool:
    """Tell whether the type of a stream cannot be called so, with "_t" after it."""
    return stem in TYPES


def is_reserved(name: str) -> bool:
    """Tell whether no function can be called so: a word, a macro, a type.

    All names of two capitals and no other letters count as macros, but for those of ordinary networks and layers. What
    begins with "ap_" is the vendor's.
    """
    return (
        name in WORDS | OWN | HEADERS
        or (name.endswith("_t") and is_type(name[:-2]))
        or keyword.iskeyword(name)
        or bool(_MACRO.fullmatch(name) and not _ORDINARY.fullmatch(name))
        or bool(_VENDOR.fullmatch(name))
    )
