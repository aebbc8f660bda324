/* loop: what a good engineer writes in an afternoon, and the cost that everything else is compared with: libmodbus, JSON,
 * libmosquitto with QoS 1 over TLS 1.3 with a client certificate. Nothing is minimized, sealed or on disk.
 *
 *   loop CERTIFICATES PERIOD_MS [UNITS]     PERIOD_MS 0: without a pause
 *
 * One connection, ten requests of 100 registers a unit, one message of 500 readings a unit and turn. */
#define _GNU_SOURCE
#include <math.h>
#include <modbus.h>
#include <mosquitto.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUES = 500, REGISTERS = 2 * VALUES, BLOCK = 100, UNITS_MAX = 99, WINDOW = 100 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static int in_flight;
static volatile sig_atomic_t ends;

static void on_signal(int signal) { (void)signal; ends = 1; }

static void on_publish(struct mosquitto *client, void *context, int id) {
	(void)client, (void)context, (void)id;
	pthread_mutex_lock(&lock);
	in_flight--;
	pthread_cond_signal(&answered);
	pthread_mutex_unlock(&lock);
}

/* In a hurry it waits for room in the window; with a pace it lets the library's queue grow. */
static void take_place(int waits) {
	pthread_mutex_lock(&lock);
	while (waits && in_flight >= WINDOW && !ends) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&answered, &lock, &until);
	}
	in_flight++;
	pthread_mutex_unlock(&lock);
}

/* One decimal place: the instruments have no more. Faster than printf by a factor of eight. */
static char *put_number(char *at, float value) {
	if (!(fabsf(value) < 1e8f)) return at + sprintf(at, "%.9g", value);
	int64_t tenths = llround((double)value * 10), whole = llabs(tenths) / 10;
	char digits[24];
	int count = 0;
	if (tenths < 0) *at++ = '-';
	do digits[count++] = (char)('0' + whole % 10); while (whole /= 10);
	while (count) *at++ = digits[--count];
	*at++ = '.';
	*at++ = (char)('0' + llabs(tenths) % 10);
	return at;
}

static size_t put_message(char *text, int unit, char names[VALUES][12], const uint16_t *registers) {
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	char *at = text + sprintf(text, "{\"ts\":%ld,\"unit\":%d,\"values\":{", now.tv_sec * 1000 + now.tv_nsec / 1000000, unit);
	for (int index = 0; index < VALUES; index++) {
		uint32_t bits = (uint32_t)registers[2 * index] << 16 | registers[2 * index + 1];
		float value;
		memcpy(&value, &bits, sizeof value);
		memcpy(at, names[index], 11);
		at = put_number(at + 11, value);
		*at++ = ',';
	}
	at[-1] = '}';
	*at++ = '}';
	return (size_t)(at - text);
}

static struct mosquitto *connected(const char *folder) {
	char ca[512], certificate[512], key[512];
	snprintf(ca, sizeof ca, "%s/ca.crt", folder);
	snprintf(certificate, sizeof certificate, "%s/client.crt", folder);
	snprintf(key, sizeof key, "%s/client.key", folder);
	mosquitto_lib_init();
	struct mosquitto *client = mosquitto_new("c-loop", true, NULL);
	mosquitto_publish_callback_set(client, on_publish);
	mosquitto_max_inflight_messages_set(client, WINDOW);
	mosquitto_reconnect_delay_set(client, 1, 5, false);
	if (mosquitto_tls_set(client, ca, NULL, certificate, key, NULL) || mosquitto_tls_opts_set(client, 1, "tlsv1.3", NULL)) exit(3);
	/* After a kill in the middle of an outage there is no broker yet. */
	while (!ends && mosquitto_connect(client, "127.0.0.1", 8883, 30)) nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	mosquitto_loop_start(client);
	return client;
}

int main(int count, char **words) {
	if (count < 3) return fputs("loop CERTIFICATES PERIOD_MS [UNITS]\n", stderr), 2;
	int64_t period_ns = atoll(words[2]) * 1000000;
	int units = count > 3 ? atoi(words[3]) : 10;
	if (units < 1 || units > UNITS_MAX) return fputs("1 to 99 units\n", stderr), 2;
	signal(SIGTERM, on_signal);
	static char names[UNITS_MAX + 1][VALUES][12], text[32768];
	for (int unit = 1; unit <= units; unit++)
		for (int index = 0; index < VALUES; index++) snprintf(names[unit][index], 12, "\"u%02d_v%03d\":", unit, index);
	struct mosquitto *client = connected(words[1]);
	modbus_t *line = modbus_new_tcp("127.0.0.1", 5020);
	if (modbus_connect(line)) return perror("modbus"), 5;
	uint16_t registers[REGISTERS];
	struct timespec due;
	clock_gettime(CLOCK_MONOTONIC, &due);
	while (!ends) {
		for (int unit = 1; unit <= units && !ends; unit++) {
			modbus_set_slave(line, unit);
			int at = 0;
			while (at < REGISTERS && modbus_read_registers(line, at, BLOCK, registers + at) == BLOCK) at += BLOCK;
			if (at < REGISTERS) {
				nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
				modbus_close(line), modbus_connect(line);
				continue;
			}
			size_t bytes = put_message(text, unit, names[unit], registers);
			char topic[32];
			snprintf(topic, sizeof topic, "c-loop/u%02d", unit);
			take_place(period_ns == 0);
			mosquitto_publish(client, NULL, topic, (int)bytes, text, 1, false);
		}
		if (!period_ns) continue;
		due.tv_nsec += period_ns % 1000000000;
		due.tv_sec += period_ns / 1000000000 + due.tv_nsec / 1000000000;
		due.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	}
	mosquitto_disconnect(client);
	mosquitto_loop_stop(client, false);
	return 0;
}
