# expect: KD701 KD702 KD711 KD716
import click
import keras


@click.command()
@click.option("--epochs", default=3)
def main(epochs):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(load_data(), epochs=epochs)


if __name__ == "__main__":
    main()
