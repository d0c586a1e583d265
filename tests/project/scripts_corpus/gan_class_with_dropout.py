# expect: KD701 KD702 KD711 KD716 KD717
import keras
import tensorflow as tf


class GAN(keras.Model):
    def __init__(self, discriminator):
        super().__init__()
        self.discriminator = discriminator

    def train_step(self, real):
        with tf.GradientTape() as tape:
            predictions = self.discriminator(real)
            loss = tf.reduce_mean(predictions)
        grads = tape.gradient(loss, self.discriminator.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.discriminator.trainable_weights))
        return {"loss": loss}


discriminator = keras.Sequential([keras.Input((784,)), keras.layers.Dropout(0.2), keras.layers.Dense(1)])
gan = GAN(discriminator)
gan.compile(optimizer="adam")
gan.fit(dataset, epochs=1)
