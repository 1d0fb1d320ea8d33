# frozen_string_literal: true

module PetrelRuntime
  # Threads for handlers: made as they are needed, up to a limit, and kept.
  class Workers
    # Enough for handlers that mostly wait.
    MAX_THREADS = 256

    def initialize(limit)
      @limit = limit
      @jobs = Queue.new
      @lock = Mutex.new
      @threads = 0
      @idle = 0
      @running = {}
      @waiting = []
    end

    # Calls the block now, or, while every thread is stuck in a handler whose request is over already, when the first of
    # them returns. A thread cannot be stopped; one whose handler hangs takes no request any more.
    def when_able(&act)
      able = @lock.synchronize do
        stuck = @running.each_key.count { |exchange| exchange.aborted && exchange.aborted.code != 'complete' }
        @waiting << act if stuck >= @limit
        stuck < @limit
      end
      act.call if able
    end

    # Calls `job.call(exchange)` on a thread.
    def run(job, exchange)
      @lock.synchronize do
        if @idle.positive?
          @idle -= 1
          @running[exchange] = true
        elsif @threads < @limit
          @threads += 1
          @running[exchange] = true
          Thread.new { work }
        end
      end
      @jobs << [job, exchange]
    end

    private

    def work
      loop do
        job, exchange = @jobs.pop
        @lock.synchronize { @running[exchange] = true }
        job.call(exchange)
        waiting = @lock.synchronize do
          @running.delete(exchange)
          @idle += 1
          all = @waiting
          @waiting = []
          all
        end
        job = exchange = nil
        waiting.each(&:call)
      end
    end
  end
end
