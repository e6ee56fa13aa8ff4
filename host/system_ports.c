// millrace.ports: the network devices that are ours.
#include "host/control.h"
#include "host/nic.h"
#include "host/system_int.h"

static void put_text(struct mr_row_table *rows, uint32_t column, const char *text)
{
	mr_row_copy(rows, column, mr_span_str(text));
}

int mr_system_fill_ports(struct mr_control *c, struct mr_row_table *rows)
{
	struct mr_dpdk_info i;
	char mac[18];

	if (!c->nic)
		return 0;
	mr_nic_describe(c->nic, &i);
	mr_mac_format(i.mac, mac);
	const struct {
		const char *text; // NULL: the number
		int64_t number;
	} values[] = {{i.name, 0}, {i.driver, 0}, {mac, 0}, {c->config->net_address, 0},
		{i.is_gone          ? "gone"
			: i.link_up ? "up"
				    : "down",
			0},
		{NULL, i.link_mbps}, {NULL, i.mtu}, {NULL, i.node}, {NULL, i.rx_queues},
		{NULL, i.tx_queues},
		{c->workers_count == 1 ? "none"
			: i.flow_rules ? "device"
				       : "software",
			0},
		{i.has_sums ? "device" : "software", 0}, {i.interrupts ? "interrupt" : "naps", 0},
		{NULL, (int64_t)i.rx_frames}, {NULL, (int64_t)i.rx_bytes},
		{NULL, (int64_t)i.rx_missed}, {NULL, (int64_t)i.rx_errors},
		{NULL, (int64_t)i.rx_no_frame}, {NULL, (int64_t)i.tx_frames},
		{NULL, (int64_t)i.tx_bytes}, {NULL, (int64_t)i.tx_errors},
		{NULL, (int64_t)i.link_changes}};

	mr_row_begin(rows);
	for (uint32_t k = 0; k < MR_COUNT_OF(values); k++) {
		if (values[k].text)
			put_text(rows, k, values[k].text);
		else
			mr_row_int(rows, k, values[k].number);
	}
	return 0;
}
