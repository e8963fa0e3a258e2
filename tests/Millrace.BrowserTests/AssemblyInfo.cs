using Millrace.BrowserTests;

[assembly: Trait("Speed", "slow")]
[assembly: AssemblyFixture(typeof(Browser))]
[assembly: CollectionBehavior(MaxParallelThreads = 2)]
