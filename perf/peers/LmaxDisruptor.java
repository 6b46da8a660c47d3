// LMAX Disruptor as a peer: one ring in which the payloads stay, published in batches; one handler on its
// own thread that runs three stages by a table, in place; the results read by a poller that stands behind
// the handler, on the thread that publishes. The counterpart of src/peers/disruptor.rs.
//
// java -cp DISRUPTOR_JAR LmaxDisruptor.java REPEATS REQUESTS SCENARIO...
//
// A scenario is stream_BATCH, groups_16 or round_trip; for each repetition, in turn, a line `SCENARIO NS`.

import com.lmax.disruptor.BatchEventProcessor;
import com.lmax.disruptor.EventPoller;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.YieldingWaitStrategy;
import java.util.Arrays;

public final class LmaxDisruptor {
    private static final int WINDOW = 1024;
    private static final int ROUND_TRIP_WINDOW = 64;

    /** 56 bytes. */
    static final class Event {
        long number, first, second, third, tag, fifth, result;
    }

    interface Stage {
        void run(Event event);
    }

    private static final Stage[] STAGES = {
        event -> event.first = event.number * 3,
        event -> event.second = event.first ^ event.third,
        event -> event.result = event.second + event.number,
    };

    private final RingBuffer<Event> ring;
    private final BatchEventProcessor<Event> processor;
    private final EventPoller<Event> results;
    private final Thread worker;

    private final long[] sent;
    private final long[] got;
    private final long[] sums;
    private int taken;
    private int takenMax;

    private LmaxDisruptor(int lanes, int window) {
        ring = RingBuffer.createSingleProducer(Event::new, window, new YieldingWaitStrategy());
        processor = new BatchEventProcessor<>(ring, ring.newBarrier(), (event, sequence, end) -> {
            for (Stage stage : STAGES) {
                stage.run(event);
            }
        });
        results = ring.newPoller(processor.getSequence());
        worker = new Thread(processor, "handler");
        sent = new long[lanes];
        got = new long[lanes];
        sums = new long[lanes];
        ring.addGatingSequences(results.getSequence());
        worker.setDaemon(true);
        worker.start();
    }

    private void end() throws InterruptedException {
        processor.halt();
        worker.join();
    }

    private static long expected(long number) {
        return (number * 3 ^ 3) + number;
    }

    private void submit(int lane, int count) {
        if (count == 0) {
            return;
        }
        long last = ring.next(count);
        for (long sequence = last - count + 1; sequence <= last; sequence++) {
            Event event = ring.get(sequence);
            event.number = sent[lane]++;
            event.first = 1;
            event.second = 2;
            event.third = 3;
            event.tag = lane;
            event.fifth = 5;
            event.result = 6;
        }
        ring.publish(last - count + 1, last);
    }

    private boolean take(Event event, long sequence, boolean end) {
        int lane = (int) event.tag;
        sums[lane] += event.result;
        got[lane]++;
        return ++taken < takenMax;
    }

    private int receive(int max) throws Exception {
        taken = 0;
        takenMax = max;
        results.poll(this::take);
        return taken;
    }

    /** Streams until each lane has received so many in all. */
    private void drive(int burst, long until) throws Exception {
        int inFlight = 0;
        boolean open = true;
        while (open) {
            open = false;
            for (int lane = 0; lane < sent.length; lane++) {
                int more = (int) Math.min(Math.min(burst, until - sent[lane]), WINDOW - inFlight);
                submit(lane, more);
                inFlight += more - receive(burst);
            }
            for (long received : got) {
                open |= received < until;
            }
        }
    }

    private void check() {
        for (int lane = 0; lane < sent.length; lane++) {
            long sum = 0;
            for (long number = 0; number < sent[lane]; number++) {
                sum += expected(number);
            }
            if (sum != sums[lane] || got[lane] != sent[lane]) {
                throw new AssertionError("wrong results");
            }
        }
    }

    private static double stream(int lanes, int burst, long requests) throws Exception {
        LmaxDisruptor peer = new LmaxDisruptor(lanes, WINDOW);
        long share = Math.max(requests / lanes, 1);
        peer.drive(burst, share / 10);
        long start = System.nanoTime();
        peer.drive(burst, share / 10 + share);
        double ns = (double) (System.nanoTime() - start) / (share * lanes);
        peer.check();
        peer.end();
        return ns;
    }

    private static double roundTrip(long requests) throws Exception {
        LmaxDisruptor peer = new LmaxDisruptor(1, ROUND_TRIP_WINDOW);
        int blocks = 20;
        long block = Math.max(requests / 10 / blocks, 1);
        double[] times = new double[blocks];
        for (int at = -1; at < blocks; at++) {
            long start = System.nanoTime();
            for (long trip = 0; trip < block; trip++) {
                peer.submit(0, 1);
                while (peer.receive(1) == 0) {
                    Thread.onSpinWait();
                }
            }
            if (at >= 0) {
                times[at] = (double) (System.nanoTime() - start) / block;
            }
        }
        peer.check();
        peer.end();
        Arrays.sort(times);
        return times[blocks / 2];
    }

    private static double run(String scenario, long requests) throws Exception {
        if (scenario.equals("round_trip")) {
            return roundTrip(requests);
        }
        if (scenario.equals("groups_16")) {
            return stream(16, 64, requests);
        }
        return stream(1, Integer.parseInt(scenario.substring("stream_".length())), requests);
    }

    public static void main(String[] args) throws Exception {
        int repeats = Integer.parseInt(args[0]);
        long requests = Long.parseLong(args[1]);
        String[] scenarios = Arrays.copyOfRange(args, 2, args.length);
        // The compiler of the virtual machine needs some runs.
        for (String scenario : scenarios) {
            run(scenario, requests);
        }
        for (int repeat = 0; repeat < repeats; repeat++) {
            for (String scenario : scenarios) {
                System.out.println(scenario + " " + run(scenario, requests));
            }
        }
    }
}
