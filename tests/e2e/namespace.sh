# Namespaces of a test's own: what it mounts and the network devices it makes are seen by nobody else
# and go with its last process, however it ends. Source this before anything else.

# skip REASON
skip() {
	echo "$1"
	exit 77
}

# namespace_check OPTION...: why unshare refuses these, in one line; nothing when it does not. A
# container may, and a chroot whose / is no mount point does.
namespace_check() { { unshare "$@" true 2>&1 || echo refused; } | head -n 1; }

# namespace_or_skip OPTION...
namespace_or_skip() {
	local said
	said=$(namespace_check "$@")
	[ -z "$said" ] || skip "no namespace here: $said"
}

# own_namespace OPTION...: the test begins again in one. $MILLRACE_NAMESPACE says that it is there.
own_namespace() {
	[ -n "${MILLRACE_NAMESPACE:-}" ] || MILLRACE_NAMESPACE=own exec unshare "$@" bash "$0"
}

# For tests that do without where there is none: as root, mounts of their own.
own_mounts_if_any() {
	[ "$(id -u)" != 0 ] || [ -n "$(namespace_check --mount)" ] || own_namespace --mount
}
